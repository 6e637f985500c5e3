"""Characters, motion clips and their formats, manifests and the motion library."""
