"""Characters, motion clips and their formats, manifests, the motion library."""
