"""The Streamlit pages and the HTML reports over the results of the jobs. No Spark is imported here, and none is run."""
