"""Brings a job to where Spark is: this machine, any cluster with a spark-submit, EMR on EC2, EMR Serverless."""
