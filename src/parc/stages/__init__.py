"""What a stage is: settings that are read and checked once, and a folder that is the run."""
