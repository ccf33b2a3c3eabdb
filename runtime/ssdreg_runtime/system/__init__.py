"""The machine this runs on: files, folders, terminals, processors."""
