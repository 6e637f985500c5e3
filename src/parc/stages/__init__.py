"""What a stage is: settings read and checked once, a folder that is the run, finished or how far."""
