"""The studio, a viewer in the browser, and pages that play motions without a server."""
