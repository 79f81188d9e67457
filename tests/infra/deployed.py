"""The template in moto, by moto's CloudFormation as far as that goes."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import boto3

from tests.infra.template import REGION, STACK, Parameters, Stack, raw

UNSUPPORTED = {
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EMRServerless::Application",
    "AWS::Glue::Database",
    "AWS::RedshiftServerless::Namespace",
    "AWS::RedshiftServerless::Workgroup",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
}
"""The types that moto's CloudFormation does not know. infra/README.md names them too."""

APPLICATION = {"Ref": "00abc", "Arn": f"arn:aws:emr-serverless:{REGION}:123456789012:/applications/00abc"}
PLACEHOLDERS = {"Application": APPLICATION, "Workgroup": {"Workgroup.Endpoint.Address": "redshift.example"}}
"""What resources of those types are known by to others, as long as they are not made."""


class Deployed:
    """A stack that moto's CloudFormation has made."""

    def __init__(self, parameters: Parameters) -> None:
        cloudformation = boto3.client("cloudformation")
        # moto warns of what it does not know, at every look at the stack.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cloudformation.create_stack(
                StackName=STACK,
                TemplateBody=json.dumps(_for_moto()),
                Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
            [description] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
            resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        assert description["StackStatus"] == "CREATE_COMPLETE"
        said = [re.search(r"Tried to parse ([\w:]+) but", str(warning.message)) for warning in caught]
        self.unknown = {found[1] for found in said if found}
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
        # What moto has not made is in its answer, without a name.
        made = [resource for resource in resources if "LogicalResourceId" in resource]
        self.ids = {resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "") for resource in made}
        self.stack = Stack(parameters, {**{name: self._known_by(name) for name in self.ids}, **PLACEHOLDERS})

    def _known_by(self, name: str) -> Mapping[str, str]:
        found = self.ids[name]
        kind = raw()["Resources"][name]["Type"]
        if kind == "AWS::S3::Bucket":
            return {"Ref": found, "Arn": f"arn:aws:s3:::{found}"}
        if kind == "AWS::IAM::Role":
            return {"Ref": found, "Arn": boto3.client("iam").get_role(RoleName=found)["Role"]["Arn"]}
        if kind == "AWS::Events::Rule":
            return {"Ref": found, "Arn": boto3.client("events").describe_rule(Name=found)["Arn"]}
        return {"Ref": found}


def _for_moto() -> dict[str, Any]:
    """The template, with placeholders where it names what moto cannot make."""
    return dict(_replaced(raw()))


def _replaced(node: Any) -> Any:
    match node:
        case {"Ref": str(name)} if name in PLACEHOLDERS:
            return PLACEHOLDERS[name]["Ref"]
        case {"Fn::GetAtt": [str(name), *path]} if name in PLACEHOLDERS:
            return PLACEHOLDERS[name][".".join(path)]
        case {"Fn::Sub": str(text)}:
            for name, attributes in PLACEHOLDERS.items():
                for attribute, value in attributes.items():
                    text = text.replace(f"${{{name}}}" if attribute == "Ref" else f"${{{name}.{attribute}}}", value)
            return {"Fn::Sub": text}
        case dict():
            return {key: _replaced(item) for key, item in node.items()}
        case list():
            return [_replaced(item) for item in node]
        case _:
            return node
