"""The template by itself: the linter, and what must hold for every policy, network and bucket in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest
from cfnlint.api import lint

from tests.infra.template import ACCOUNT, FULL, MINIMAL, OWN_NETWORK, PATH, REGION, SECRETS, Parameters, Stack, raw
from tests.infra.template import statements as statements_of

pytestmark = pytest.mark.default_spark

VARIANTS = {
    "minimal": MINIMAL,
    "full": FULL,
    "redshift": {"Redshift": "true"},
    "daily": {"CodePrefix": FULL["CodePrefix"]},
    "own network": OWN_NETWORK,
}

BUCKET = {"Ref": "the-bucket", "Arn": "arn:aws:s3:::the-bucket"}
APPLICATION = {"Ref": "00abc", "Arn": f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/00abc"}
JOB_ROLE = {"Ref": "job", "Arn": f"arn:aws:iam::{ACCOUNT}:role/job"}
KNOWN = {"Bucket": BUCKET, "Application": APPLICATION, "JobRole": JOB_ROLE}

WILD_ACTIONS = {
    # Refusals, of everything.
    ("BucketPolicy", "s3:*"),
    # An endpoint's policy narrows what roles allow, and allows nothing by itself.
    ("GlueCatalogEndpoint", "glue:*"),
}
"""Where a policy names actions by a pattern."""


@pytest.fixture(params=VARIANTS.values(), ids=list(VARIANTS))
def parameters(request: pytest.FixtureRequest) -> Parameters:
    found: Parameters = request.param
    return found


@pytest.fixture
def stack(parameters: Parameters) -> Stack:
    return Stack(parameters, KNOWN)


def test_linter_finds_nothing() -> None:
    found = lint(PATH.read_text(encoding="utf-8"), regions=["us-east-1", "eu-west-1", "ap-southeast-1"])
    assert [str(match) for match in found] == []


def test_fits_into_one_call() -> None:
    assert len(PATH.read_bytes()) <= 51_200, "CloudFormation takes a larger template from S3 only"


def test_parameters_are_described_bounded_and_have_a_default_that_fits() -> None:
    for name, slot in raw()["Parameters"].items():
        assert slot.get("Description", "").endswith("."), name
        assert "Default" in slot, name
        default = str(slot["Default"])
        if slot["Type"] == "Number":
            allowed = slot.get("AllowedValues") or range(slot["MinValue"], slot["MaxValue"] + 1)
            assert int(default) in allowed, name
        elif "AllowedValues" in slot:
            parts = default.split(",") if slot["Type"] == "CommaDelimitedList" else [default]
            assert set(parts) <= {str(value) for value in slot["AllowedValues"]}, name
        else:
            assert re.fullmatch(slot["AllowedPattern"], default), name


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("CodePrefix", f"s3://bucket/code/{'0af9' * 16}", True),
        ("CodePrefix", f"s3://bucket/code/{'0af9' * 16}/", False),
        ("CodePrefix", "s3://bucket/code/latest", False),
        ("CodePrefix", f"s3://bucket/code/{'0af9' * 16}' & $x & '", False),
        ("SecretArns", SECRETS, True),
        ("SecretArns", f"{SECRETS},*", False),
        ("SecretArns", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:*", False),
        ("SubnetIds", OWN_NETWORK["SubnetIds"], True),
        ("SubnetIds", ",subnet-01234567", False),
        ("ScheduleExpression", "cron(30 23 * * ? *)", True),
        ("ScheduleExpression", "cron(0 */6 * * ? *)", False),
        ("ScheduleExpression", "rate(1 day)", False),
        ("SparkSubmitParameters", "--conf spark.x='a' & $x", False),
        ("ExtraArguments", "--sink,redshift,--allow-missing-days", True),
        ("ExtraArguments", "--sink,'", False),
        ("SourcePrefix", "raw/days", True),
        ("SourcePrefix", "raw/", False),
        ("SourcePrefix", "*", False),
        ("VpcNetwork", "172.31", True),
        ("VpcNetwork", "172.32", False),
    ],
)
def test_patterns(name: str, text: str, fits: bool) -> None:
    # CloudFormation matches all of a value, as if there were ^ and $ around each pattern.
    assert bool(re.fullmatch(raw()["Parameters"][name]["AllowedPattern"], text)) == fits


def test_conditions_and_parameters_are_all_used() -> None:
    template = raw()
    used = set(_named(template["Resources"])) | set(_named(template["Outputs"])) | set(_named(template["Conditions"]))
    assert set(template["Conditions"]) - used == set()
    assert set(template["Parameters"]) - used == set()


def test_each_variant_names_only_what_it_makes(stack: Stack) -> None:
    for name in stack.names:
        stack.properties(name)
    assert {"ApplicationId", "JobRoleArn", "BucketName", "GlueDatabase", "CopyRoleArn", "SubnetIds"} <= set(
        stack.outputs
    )


def test_no_policy_allows_anything_on_everything(stack: Stack) -> None:
    for name in stack.names:
        for statement in statements_of(stack.properties(name)):
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            assert "*" not in statement.get("Resource", []), (name, statement)
            wild = {(name, action) for action in statement["Action"] if "*" in action}
            assert wild <= WILD_ACTIONS, (name, statement)


def test_wildcards_in_resources_are_names_below_a_named_resource(stack: Stack) -> None:
    allowed = (
        rf"{BUCKET['Arn']}/(code|source|output|output/_runs|temporary|logs)?/?\*",
        r"arn:aws:s3:::television-logs/raw/days/\*",
        rf"arn:aws:s3:::prod\.{REGION}\.appinfo\.src/\*",
        rf"{APPLICATION['Arn']}/jobruns/\*",
        rf"arn:aws:glue:{REGION}:{ACCOUNT}:(table/etl_spark/)?\*",
    )
    for name in stack.names:
        for statement in statements_of(stack.properties(name)):
            for resource in statement.get("Resource", []):
                if "*" in resource:
                    assert any(re.fullmatch(pattern, resource) for pattern in allowed), (name, resource)


def test_only_endpoints_and_refusals_are_for_everyone(stack: Stack) -> None:
    for name in stack.names:
        for statement in statements_of(stack.properties(name)):
            if statement.get("Principal") == "*":
                assert statement["Effect"] == "Deny" or stack.type_of(name) == "AWS::EC2::VPCEndpoint", name


def test_bucket_is_kept_encrypted_versioned_and_closed(stack: Stack) -> None:
    resource = raw()["Resources"]["Bucket"]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    bucket = stack.properties("Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    rule = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_bucket_expires_no_table_and_no_code(stack: Stack) -> None:
    rules = stack.properties("Bucket")["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring == {"temporary/", "logs/"}
    assert any("AbortIncompleteMultipartUpload" in rule and "Prefix" not in rule for rule in rules)
    assert any("NoncurrentVersionExpiration" in rule and "Prefix" not in rule for rule in rules)


def test_bucket_refuses_what_is_not_tls(stack: Stack) -> None:
    found = {statement["Sid"]: statement for statement in statements_of(stack.properties("BucketPolicy"))}
    for statement in found.values():
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", ["s3:*"])
        assert statement["Resource"] == [BUCKET["Arn"], f"{BUCKET['Arn']}/*"]
    assert found["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert found["NoOldTls"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}


def test_nothing_comes_in_from_outside(stack: Stack) -> None:
    groups = stack.of_type("AWS::EC2::SecurityGroup")
    ingress = [rule for group in groups.values() for rule in group.get("SecurityGroupIngress", [])]
    ingress += stack.of_type("AWS::EC2::SecurityGroupIngress").values()
    assert ingress
    for rule in ingress:
        assert rule["SourceSecurityGroupId"] == "jobsecuritygroup"
        assert not {"CidrIp", "CidrIpv6"} & set(rule)
    if "RedshiftSecurityGroup" in groups:
        [rule] = groups["RedshiftSecurityGroup"]["SecurityGroupIngress"]
        assert (rule["FromPort"], rule["ToPort"]) == (5439, 5439)
    # Without an explicit rule, a group may go anywhere.
    assert all(group["SecurityGroupEgress"] for group in groups.values())


def test_network_has_no_way_out(stack: Stack, parameters: Parameters) -> None:
    kinds = {stack.type_of(name) for name in stack.names}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Route"}
    assert all(not subnet["MapPublicIpOnLaunch"] for subnet in stack.of_type("AWS::EC2::Subnet").values())
    assert ("AWS::EC2::VPC" in kinds) == ("VpcId" not in parameters)


@pytest.mark.parametrize(
    ("parameters", "endpoints", "subnets"),
    [
        (MINIMAL, {"S3Endpoint"}, 2),
        ({"SecretArns": SECRETS}, {"S3Endpoint", "SecretsEndpoint"}, 2),
        ({"Redshift": "true"}, {"S3Endpoint"}, 3),
        (FULL, {"S3Endpoint", "SecretsEndpoint", "GlueCatalogEndpoint"}, 3),
        (OWN_NETWORK, set(), 0),
    ],
)
def test_endpoints_are_those_that_are_needed(parameters: Parameters, endpoints: set[str], subnets: int) -> None:
    stack = Stack(parameters)
    assert set(stack.of_type("AWS::EC2::VPCEndpoint")) == endpoints
    assert len(stack.of_type("AWS::EC2::Subnet")) == subnets
    # Redshift Serverless asks for three zones.
    zones = {subnet["AvailabilityZone"] for subnet in stack.of_type("AWS::EC2::Subnet").values()}
    assert len(zones) == subnets
    for name in stack.of_type("AWS::EC2::VPCEndpoint"):
        assert list(statements_of(stack.properties(name))), f"{name} has no policy: it would allow everything"


OWN = "arn:aws:s3:::the-bucket"
LOGS = "arn:aws:s3:::television-logs"


@pytest.mark.parametrize(
    ("role", "action", "resource", "context", "may"),
    [
        ("JobRole", "s3:GetObject", f"{OWN}/code/00/viewing.py", {}, True),
        ("JobRole", "s3:PutObject", f"{OWN}/code/00/viewing.py", {}, False),
        ("JobRole", "s3:GetObject", f"{LOGS}/raw/days/viewing/20220401.json", {}, True),
        ("JobRole", "s3:PutObject", f"{LOGS}/raw/days/viewing/20220401.json", {}, False),
        ("JobRole", "s3:GetObject", f"{LOGS}/payroll/2022.csv", {}, False),
        ("JobRole", "s3:PutObject", f"{OWN}/output/lake/viewing_daily/_delta_log/0.json", {}, True),
        ("JobRole", "s3:DeleteObject", f"{OWN}/temporary/etl_staging_1/manifest", {}, True),
        ("JobRole", "s3:DeleteObjectVersion", f"{OWN}/output/lake/viewing_daily/part-0.parquet", {}, False),
        ("JobRole", "s3:PutObject", f"{OWN}/logs/applications/00abc/jobs/1/stdout.gz", {}, True),
        ("JobRole", "s3:PutObject", f"{OWN}/elsewhere", {}, False),
        ("JobRole", "s3:PutBucketPolicy", OWN, {}, False),
        ("JobRole", "s3:ListBucket", OWN, {"s3:prefix": "output/lake/"}, True),
        ("JobRole", "s3:ListBucket", OWN, {}, True),
        ("JobRole", "s3:ListBucket", OWN, {"s3:prefix": "elsewhere/"}, False),
        ("JobRole", "s3:ListBucket", LOGS, {"s3:prefix": "raw/days/viewing/"}, True),
        ("JobRole", "s3:ListBucket", LOGS, {"s3:prefix": "payroll/"}, False),
        ("JobRole", "secretsmanager:GetSecretValue", SECRETS.split(",")[1], {}, True),
        ("JobRole", "secretsmanager:GetSecretValue", f"{SECRETS.split(',')[1]}x", {}, False),
        ("JobRole", "glue:CreateTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/etl_spark/dim_date", {}, True),
        ("JobRole", "glue:CreateTable", f"arn:aws:glue:{REGION}:{ACCOUNT}:table/finance/ledger", {}, False),
        ("JobRole", "glue:DeleteDatabase", f"arn:aws:glue:{REGION}:{ACCOUNT}:database/etl_spark", {}, False),
        ("JobRole", "iam:PassRole", JOB_ROLE["Arn"], {"iam:PassedToService": "emr-serverless.amazonaws.com"}, False),
        ("CopyRole", "s3:GetObject", f"{OWN}/temporary/etl_staging_1/part-0.parquet", {}, True),
        ("CopyRole", "s3:GetObject", f"{OWN}/output/lake/dim_customer/part-0.parquet", {}, False),
        ("CopyRole", "s3:PutObject", f"{OWN}/temporary/etl_staging_1/part-0.parquet", {}, False),
        ("CopyRole", "s3:ListBucket", OWN, {"s3:prefix": "temporary/etl_staging_1"}, True),
        ("CopyRole", "s3:ListBucket", OWN, {"s3:prefix": "output/"}, False),
        ("CopyRole", "s3:ListBucket", OWN, {}, False),
        ("DailyRunRole", "emr-serverless:StartJobRun", APPLICATION["Arn"], {}, True),
        ("DailyRunRole", "emr-serverless:StartJobRun", f"{APPLICATION['Arn']}x", {}, False),
        ("DailyRunRole", "emr-serverless:StopApplication", APPLICATION["Arn"], {}, False),
        ("DailyRunRole", "emr-serverless:CancelJobRun", f"{APPLICATION['Arn']}/jobruns/1", {}, True),
        (
            "DailyRunRole",
            "iam:PassRole",
            JOB_ROLE["Arn"],
            {"iam:PassedToService": "emr-serverless.amazonaws.com"},
            True,
        ),
        ("DailyRunRole", "iam:PassRole", JOB_ROLE["Arn"], {"iam:PassedToService": "ec2.amazonaws.com"}, False),
        ("DailyRunRole", "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {}, False),
        ("DailyRunRole", "s3:GetObject", f"{OWN}/output/lake/x", {}, False),
        ("SchedulerRole", "states:StartExecution", "dailyrun", {}, True),
        ("SchedulerRole", "states:StartExecution", "another", {}, False),
        ("SchedulerRole", "emr-serverless:StartJobRun", APPLICATION["Arn"], {}, False),
        ("SubmitPolicy", "s3:PutObject", f"{OWN}/code/00/viewing.py", {}, True),
        ("SubmitPolicy", "s3:DeleteObject", f"{OWN}/code/00/viewing.py", {}, False),
        ("SubmitPolicy", "s3:GetObject", f"{OWN}/output/lake/dim_customer/part-0.parquet", {}, False),
        ("SubmitPolicy", "emr-serverless:StartJobRun", APPLICATION["Arn"], {}, True),
    ],
)
def test_rights(role: str, action: str, resource: str, context: Mapping[str, str], may: bool) -> None:
    stack = Stack(FULL, KNOWN)
    attached = [properties for properties in stack.of_type("AWS::IAM::Policy").values() if role == "JobRole"]
    found = [
        *statements_of(stack.properties(role).get("Policies", [])),
        *statements_of(stack.properties(role).get("PolicyDocument", {})),
        *statements_of(attached),
    ]
    assert any(_allows(statement, action, resource, context) for statement in found) == may


@pytest.mark.parametrize(
    ("role", "services"),
    [
        ("JobRole", {"emr-serverless.amazonaws.com"}),
        ("CopyRole", {"redshift-serverless.amazonaws.com", "redshift.amazonaws.com"}),
        ("DailyRunRole", {"states.amazonaws.com"}),
        ("SchedulerRole", {"scheduler.amazonaws.com"}),
    ],
)
def test_who_may_take_a_role(role: str, services: set[str]) -> None:
    [statement] = statements_of(Stack(FULL, KNOWN).properties(role)["AssumeRolePolicyDocument"])
    named = statement["Principal"]["Service"]
    assert set([named] if isinstance(named, str) else named) == services
    # Redshift sends no such keys along.
    if role != "CopyRole":
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT


def test_every_role_that_runs_code_is_covered_by_test_rights() -> None:
    assert set(Stack(FULL).of_type("AWS::IAM::Role")) == {"JobRole", "CopyRole", "DailyRunRole", "SchedulerRole"}


def test_topic_takes_messages_of_its_rule_and_its_alarms_only() -> None:
    stack = Stack(FULL)
    found = list(statements_of(stack.properties("FailureTopicPolicy")))
    assert {statement["Principal"]["Service"] for statement in found} == {
        "events.amazonaws.com",
        "cloudwatch.amazonaws.com",
    }
    assert all(statement["Action"] == ["sns:Publish"] for statement in found)
    alarms = found[1]["Condition"]["ArnEquals"]["aws:SourceArn"]
    names = {properties["AlarmName"] for properties in stack.of_type("AWS::CloudWatch::Alarm").values()}
    assert {arn.rpartition(":")[2] for arn in alarms} == names
    for properties in stack.of_type("AWS::CloudWatch::Alarm").values():
        assert properties["AlarmActions"] == ["failuretopic"]


def test_failed_and_cancelled_runs_of_this_application_are_told() -> None:
    rule = Stack(FULL, KNOWN).properties("FailedRun")
    assert rule["EventPattern"]["detail"] == {"applicationId": ["00abc"], "state": ["FAILED", "CANCELLED"]}
    assert [target["Arn"] for target in rule["Targets"]] == ["failuretopic"]


def test_redshift_is_private_and_its_password_is_nowhere() -> None:
    stack = Stack(FULL)
    namespace, workgroup = stack.properties("Namespace"), stack.properties("Workgroup")
    assert namespace["ManageAdminPassword"] is True
    assert "AdminUserPassword" not in namespace
    assert namespace["IamRoles"] == [namespace["DefaultIamRoleArn"]]
    assert workgroup["PubliclyAccessible"] is False
    assert workgroup["EnhancedVpcRouting"] is True
    assert workgroup["ConfigParameters"] == [{"ParameterKey": "require_ssl", "ParameterValue": "true"}]
    assert len(workgroup["SubnetIds"]) == 3


def test_application_is_bounded_stops_and_runs_one_at_a_time() -> None:
    application = Stack(MINIMAL).properties("Application")
    assert application["ReleaseLabel"] == "emr-spark-8.0.0"
    assert application["Architecture"] == "X86_64"
    assert application["MaximumCapacity"] == {"Cpu": "16 vCPU", "Memory": "64 GB", "Disk": "200 GB"}
    assert application["AutoStartConfiguration"] == {"Enabled": True}
    assert application["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 5}
    assert application["SchedulerConfiguration"]["MaxConcurrentRuns"] == 1
    assert application["NetworkConfiguration"]["SubnetIds"] == ["subneta", "subnetb"]


def test_a_daily_run_is_made_where_there_is_code_and_starts_where_it_is_said() -> None:
    assert "Schedule" not in Stack(MINIMAL).names
    given = Stack({"CodePrefix": FULL["CodePrefix"]})
    assert given.properties("Schedule")["State"] == "DISABLED"
    assert "DailyRunMissing" not in given.names
    assert Stack(FULL).properties("Schedule")["State"] == "ENABLED"
    assert "DailyRunMissing" in Stack(FULL).names


def _named(node: Any) -> Iterator[str]:
    """All parameters, resources and conditions that `node` names."""
    match node:
        case dict():
            for key, value in node.items():
                if key in ("Ref", "Condition") and isinstance(value, str):
                    yield value
                elif key == "Fn::If":
                    yield value[0]
                elif key == "Fn::Sub":
                    yield from re.findall(r"\$\{([\w:]+)", value)
                yield from _named(value)
        case list():
            for item in node:
                yield from _named(item)


def _allows(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        statement["Effect"] == "Allow"
        and action in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and all(
            _holds(operator, wanted, context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, wanted: str | list[str], given: str | None) -> bool:
    patterns = [wanted] if isinstance(wanted, str) else wanted
    if given is None:
        return operator.endswith("IfExists")
    if operator.startswith("StringLike"):
        return any(fnmatchcase(given, pattern) for pattern in patterns)
    assert operator == "StringEquals", operator
    return given in patterns
