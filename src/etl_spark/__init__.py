"""One PySpark program that turns daily logs and relational extracts into tables people trust."""

__version__ = "0.1.0"
