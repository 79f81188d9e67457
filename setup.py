"""The package. Spark and Delta are extras: a cluster brings its own."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="etl_spark",
    version="0.1.0",
    description="Daily logs and relational extracts into tables people trust, with Apache Spark",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"etl_spark": ["py.typed"]},
    data_files=[
        (f"share/etl_spark/{folder}", [str(path) for path in sorted(Path(folder).iterdir()) if path.is_file()])
        for folder in ("conf", "conf/flat")
    ],
    install_requires=[
        "dacite>=1.9",
        "findspark>=2.0",
        "PyMySQL>=1.1",
        "scipy>=1.15",
        "SQLAlchemy>=2.0",
        "textblob>=0.20",
    ],
    extras_require={
        "spark": ["pyspark>=3.5,<4.1", "delta-spark>=3.3,<4.1"],
        "generate": ["faker>=40.0", "numpy>=2.0"],
        "aws": ["boto3>=1.40"],
        "dashboard": ["duckdb>=1.4", "pandas>=2.2,<3", "plotly>=6.0", "psycopg[binary]>=3.2", "streamlit>=1.60"],
        "browser": ["selenium>=4.30"],
        "forecast": ["pandas>=2.2,<3", "pyarrow>=18", "statsforecast>=2.0"],
        "test": [
            "cfn-lint>=1.40",
            "chispa>=0.11",
            "duckdb>=1.4",
            "hypothesis>=6.100",
            "import-linter>=2.5",
            "jinja2>=3.1",
            "jsonata-python>=0.6",
            "moto[s3,server]>=5.1",
            "mypy>=1.18",
            "pandas>=2.2,<3",
            "pandas-stubs",
            "psutil>=7.0",
            "psycopg[binary]>=3.2",
            "pyarrow>=18",
            "pytest>=8.4",
            "pytest-xdist>=3.8",
            "ruff>=0.14",
            "types-psutil",
            "types-PyMySQL",
        ],
    },
    entry_points={"console_scripts": ["etl-spark=etl_spark.cli:main"]},
)
