"""The template as CloudFormation would see it: its functions worked out for given parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode.cfn_yaml import load

PATH = Path(__file__).parents[2] / "infra" / "etl_spark.yaml"
REGION = "us-east-1"  # moto knows the zones of this region only, when a template asks for zones
ACCOUNT = "123456789012"
STACK = "etl-spark"
CODE_PREFIX = f"s3://code-bucket/code/{'0' * 64}"
SECRETS = ",".join(
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}" for name in ("etl/redshift-AbCdEf", "etl/shop-GhIjKl")
)

Json = Any
Parameters = Mapping[str, str]

MINIMAL: Parameters = {}
FULL: Parameters = {
    "Redshift": "true",
    "GlueEndpoint": "true",
    "SecretArns": SECRETS,
    "SourceBucket": "television-logs",
    "SourcePrefix": "raw/days",
    "CodePrefix": CODE_PREFIX,
    "ScheduleState": "ENABLED",
    "AlarmEmail": "etl@example.com",
}
OWN_NETWORK: Parameters = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1,subnet-0123456789abcdef2",
    "Redshift": "true",
    "SecretArns": SECRETS,
}


def raw() -> dict[str, Json]:
    """The template with its functions in their long form."""
    plain: dict[str, Json] = json.loads(_text())
    return plain


@cache
def _text() -> str:
    # By way of text: the linter's nodes remember where they stand in the file, which nothing here needs.
    return json.dumps(load(str(PATH)))


class Stack:
    """The template's resources and outputs for `parameters`.

    `attributes` are what resources are known by once they exist: by their logical names, `Ref` and the attributes'
    names. What is not in there is made up from its name.
    """

    def __init__(self, parameters: Parameters, attributes: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._template = raw()
        self._attributes = attributes or {}
        declared = self._template["Parameters"]
        strangers = set(parameters) - set(declared)
        assert not strangers, strangers
        self._parameters = {
            name: _typed(parameters.get(name, str(slot["Default"])), slot["Type"]) for name, slot in declared.items()
        }

    @property
    def names(self) -> list[str]:
        """The logical names of the resources that there are."""
        return [name for name, resource in self._template["Resources"].items() if self._is_there(resource)]

    def type_of(self, name: str) -> str:
        return str(self._template["Resources"][name]["Type"])

    def properties(self, name: str) -> dict[str, Json]:
        properties: dict[str, Json] = self.value(self._template["Resources"][name].get("Properties", {}))
        return properties

    def of_type(self, kind: str) -> dict[str, dict[str, Json]]:
        """The properties of all resources of a type, by logical name."""
        return {name: self.properties(name) for name in self.names if self.type_of(name) == kind}

    @property
    def outputs(self) -> dict[str, Json]:
        found = self._template["Outputs"].items()
        return {name: self.value(output["Value"]) for name, output in found if self._is_there(output)}

    def holds(self, condition: str) -> bool:
        return bool(self.value(self._template["Conditions"][condition]))

    def value(self, node: Json) -> Json:
        """`node` without functions."""
        match node:
            case {"Condition": str(name)} if len(node) == 1:
                return self.holds(name)
            case dict() if len(node) == 1 and (function := self._functions().get(next(iter(node)))):
                return function(next(iter(node.values())))
            case dict():
                return {key: value for key, item in node.items() if (value := self.value(item)) is not None}
            case list():
                return [value for item in node if (value := self.value(item)) is not None]
            case _:
                return node

    def _functions(self) -> dict[str, Callable[[Json], Json]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": lambda path: self._attribute(path[0], ".".join(path[1:])),
            "Fn::Sub": lambda text: re.sub(r"\$\{([\w:.]+)\}", self._substituted, text),
            "Fn::If": lambda of: self.value(of[1] if self.holds(of[0]) else of[2]),
            "Fn::Equals": lambda of: self.value(of[0]) == self.value(of[1]),
            "Fn::Not": lambda of: not self.value(of[0]),
            "Fn::And": lambda of: all(self.value(item) for item in of),
            "Fn::Or": lambda of: any(self.value(item) for item in of),
            "Fn::Join": lambda of: of[0].join(self.value(of[1])),
            "Fn::Split": lambda of: self.value(of[1]).split(of[0]),
            "Fn::Select": lambda of: self.value(of[1])[int(of[0])],
            "Fn::GetAZs": lambda _: [f"{REGION}{zone}" for zone in "abc"],
        }

    def _is_there(self, of: Mapping[str, Json]) -> bool:
        return "Condition" not in of or self.holds(of["Condition"])

    def _ref(self, name: str) -> Json:
        pseudo = {
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::StackName": STACK,
        }
        if name in pseudo:
            return pseudo[name]
        return self._parameters[name] if name in self._parameters else self._attribute(name, "Ref")

    def _attribute(self, name: str, attribute: str) -> str:
        assert self._is_there(self._template["Resources"][name]), f"{name} is named, and not made"
        known = self._attributes.get(name, {})
        made_up = name.lower() if attribute == "Ref" else f"arn:aws:::{name}"
        return known.get(attribute, made_up)

    def _substituted(self, found: re.Match[str]) -> str:
        name, _, attribute = found[1].partition(".")
        return str(self._attribute(name, attribute) if attribute else self._ref(name))


def statements(node: Json) -> Iterator[dict[str, Json]]:
    """All statements of all policies anywhere in `node`, without functions, with lists where one or many may stand."""
    if isinstance(node, list):
        for item in node:
            yield from statements(item)
    if isinstance(node, dict):
        for statement in node.get("Statement", []):
            many = {key: [statement[key]] for key in ("Action", "Resource") if isinstance(statement.get(key), str)}
            yield {**statement, **many}
        for item in node.values():
            yield from statements(item)


def _typed(text: str, kind: str) -> Json:
    match kind:
        case "Number":
            return int(text)
        case "CommaDelimitedList":
            return text.split(",")
        case _:
            return text
