"""What moto's CloudFormation makes of the template, for each way to use it."""

from __future__ import annotations

import re

import boto3
import pytest

from tests.infra.deployed import UNSUPPORTED, Deployed
from tests.infra.template import CODE_PREFIX, FULL, MINIMAL, OWN_NETWORK, PATH, Parameters, raw

pytestmark = [pytest.mark.default_spark, pytest.mark.usefixtures("aws_account")]


def test_types_that_moto_does_not_know_are_those_that_are_listed() -> None:
    assert Deployed(FULL).unknown == UNSUPPORTED


@pytest.mark.parametrize(
    "parameters",
    [MINIMAL, FULL, {"Redshift": "true"}, {"CodePrefix": CODE_PREFIX}, {"CodePrefix": CODE_PREFIX, "Redshift": "true"}],
    ids=["minimal", "full", "redshift", "daily", "redshift and daily"],
)
def test_stack_has_what_the_variant_says(parameters: Parameters) -> None:
    deployed = Deployed(parameters)
    made = {name for name in deployed.stack.names if deployed.stack.type_of(name) not in UNSUPPORTED}
    assert set(deployed.ids) == made
    assert set(deployed.outputs) == set(deployed.stack.outputs)
    for name in ("BucketName", "JobRoleArn", "CopyRoleArn", "GlueDatabase", "OutputUri", "SubnetIds"):
        assert deployed.outputs[name] == deployed.stack.outputs[name]


def test_own_network_is_used_as_it_is() -> None:
    vpc = boto3.client("ec2").create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    deployed = Deployed({**OWN_NETWORK, "VpcId": vpc})
    assert not {"Vpc", "SubnetA", "S3Endpoint", "SecretsEndpoint"} & set(deployed.ids)
    [group] = boto3.client("ec2").describe_security_groups(GroupIds=[deployed.ids["JobSecurityGroup"]])[
        "SecurityGroups"
    ]
    assert group["VpcId"] == vpc
    assert deployed.outputs["SubnetIds"] == OWN_NETWORK["SubnetIds"]


def test_page_names_what_was_not_verified_and_every_parameter() -> None:
    page = PATH.with_name("README.md").read_text(encoding="utf-8")
    not_verified = page.split("\n## Not verified\n")[1]
    assert set(re.findall(r"`(AWS::\w+::\w+)`", not_verified)) == UNSUPPORTED
    parameters = page.split("\n## Parameters\n")[1].split("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", parameters, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(raw()["Parameters"])
    outputs = page.split("\n## Deploying\n")[1].split("\n## ")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", outputs, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(raw()["Outputs"])
