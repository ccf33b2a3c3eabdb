"""Starting the processes that train one network together: here, by ssh, Slurm or Kubernetes."""
