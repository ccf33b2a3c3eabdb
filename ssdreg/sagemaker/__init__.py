"""SageMaker's place: the training and serving contract of its containers, by its public text."""
