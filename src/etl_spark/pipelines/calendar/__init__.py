"""The one calendar that all star schemas share."""
