"""Other people's formats, in and out; captured data onto our humanoid."""
