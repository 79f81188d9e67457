"""The template in moto: what its CloudFormation makes, and the rest by the services' own calls.

What moto's CloudFormation leaves out (the types in UNSUPPORTED, and some properties of types that it knows) is made
here by the call that CloudFormation would make, with the template's own properties: botocore refuses what an API
does not have, and moto what its service would.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from tests.conftest import aws
from tests.infra.deployed import Deployed
from tests.infra.template import FULL, REGION, STACK
from tests.infra.test_daily_run import starts

pytestmark = pytest.mark.default_spark


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with aws():
        yield Deployed(FULL)


def _camel(node: Any) -> Any:
    """Names as the newer APIs write them, with a small first letter."""
    match node:
        case dict():
            return {key[0].lower() + key[1:]: _camel(item) for key, item in node.items()}
        case list():
            return [_camel(item) for item in node]
        case _:
            return node


def _document(text: str | dict[str, Any]) -> dict[str, Any]:
    # moto's CloudFormation keeps inline policies as Python writes a dict.
    found: dict[str, Any] = ast.literal_eval(text) if isinstance(text, str) else text
    return found


def test_roles_are_made_with_their_policies(deployed: Deployed) -> None:
    iam = boto3.client("iam")
    for name, properties in deployed.stack.of_type("AWS::IAM::Role").items():
        role = iam.get_role(RoleName=deployed.ids[name])["Role"]
        assert _document(role["AssumeRolePolicyDocument"]) == properties["AssumeRolePolicyDocument"]
        for policy in properties["Policies"]:
            found = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy["PolicyName"])
            assert _document(found["PolicyDocument"]) == policy["PolicyDocument"]
    secrets = iam.get_role_policy(RoleName=deployed.ids["JobRole"], PolicyName="secrets")
    assert _document(secrets["PolicyDocument"])["Statement"][0]["Resource"] == FULL["SecretArns"].split(",")
    policy = iam.get_policy(PolicyArn=deployed.outputs["SubmitPolicyArn"])["Policy"]
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    document = deployed.stack.properties("SubmitPolicy")["PolicyDocument"]
    assert _document(version["PolicyVersion"]["Document"]) == document


def test_network_is_made_with_endpoints_and_routes(deployed: Deployed) -> None:
    ec2 = boto3.client("ec2")
    vpc = deployed.ids["Vpc"]
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = ec2.describe_subnets(Filters=here)["Subnets"]
    assert sorted((subnet["CidrBlock"], subnet["AvailabilityZone"]) for subnet in subnets) == [
        ("10.20.0.0/20", f"{REGION}a"),
        ("10.20.16.0/20", f"{REGION}b"),
        ("10.20.32.0/20", f"{REGION}c"),
    ]
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    [table] = ec2.describe_route_tables(RouteTableIds=[deployed.ids["RouteTable"]])["RouteTables"]
    # moto writes the route of a gateway endpoint down too.
    assert {route.get("GatewayId") for route in table["Routes"]} <= {"local", deployed.ids["S3Endpoint"]}
    assert not [found for found in table["Associations"] if "SubnetId" in found], "moto has learnt to associate"
    for properties in deployed.stack.of_type("AWS::EC2::SubnetRouteTableAssociation").values():
        ec2.associate_route_table(**properties)
    [table] = ec2.describe_route_tables(RouteTableIds=[deployed.ids["RouteTable"]])["RouteTables"]
    associated = {found.get("SubnetId") for found in table["Associations"]}
    assert {subnet["SubnetId"] for subnet in subnets} <= associated

    endpoints = {found["VpcEndpointId"]: found for found in ec2.describe_vpc_endpoints(Filters=here)["VpcEndpoints"]}
    s3 = endpoints[deployed.ids["S3Endpoint"]]
    assert (s3["VpcEndpointType"], s3["ServiceName"]) == ("Gateway", f"com.amazonaws.{REGION}.s3")
    assert s3["RouteTableIds"] == [deployed.ids["RouteTable"]]
    for name, service in (("SecretsEndpoint", "secretsmanager"), ("GlueCatalogEndpoint", "glue")):
        endpoint = endpoints[deployed.ids[name]]
        assert (endpoint["VpcEndpointType"], endpoint["ServiceName"]) == (
            "Interface",
            f"com.amazonaws.{REGION}.{service}",
        )
        assert endpoint["PrivateDnsEnabled"] is True
        assert set(endpoint["SubnetIds"]) == {deployed.ids["SubnetA"], deployed.ids["SubnetB"]}
    assert len(endpoints) == 3


def test_only_runs_get_into_redshift_and_the_endpoints(deployed: Deployed) -> None:
    job = deployed.ids["JobSecurityGroup"]
    ec2 = boto3.client("ec2")
    for name, port in (("RedshiftSecurityGroup", 5439), ("EndpointSecurityGroup", 443)):
        [group] = ec2.describe_security_groups(GroupIds=[deployed.ids[name]])["SecurityGroups"]
        [rule] = group["IpPermissions"]
        assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (port, port, [])
        assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [job]


def test_bucket_is_encrypted(deployed: Deployed) -> None:
    found = boto3.client("s3").get_bucket_encryption(Bucket=deployed.outputs["BucketName"])
    [rule] = found["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_bucket_as_s3_takes_it(deployed: Deployed) -> None:
    """Of a bucket's properties moto's CloudFormation applies the encryption only."""
    bucket, properties = deployed.outputs["BucketName"], deployed.stack.properties("Bucket")
    s3 = boto3.client("s3")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket), "moto has learnt to apply versioning"

    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
    )
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=properties["OwnershipControls"])
    rules = properties["LifecycleConfiguration"]["Rules"]
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in rules]}
    )
    policy = deployed.stack.properties("BucketPolicy")
    assert policy["Bucket"] == bucket
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy["PolicyDocument"]))

    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy["PolicyDocument"]
    kept = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert kept["temporary"]["Expiration"] == {"Days": 3}
    assert kept["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert kept["incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as S3 takes it, where CloudFormation's names differ."""
    expiration = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = rule["ExpirationInDays"]
    if "ExpiredObjectDeleteMarker" in rule:
        expiration["ExpiredObjectDeleteMarker"] = rule["ExpiredObjectDeleteMarker"]
    same = {name: rule[name] for name in ("Status", "NoncurrentVersionExpiration") if name in rule}
    same |= {name: rule[name] for name in ("AbortIncompleteMultipartUpload",) if name in rule}
    return {
        "ID": rule["Id"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
        **same,
        **({"Expiration": expiration} if expiration else {}),
    }


def test_application_as_emr_serverless_takes_it_and_a_daily_run_on_it(deployed: Deployed) -> None:
    emr = boto3.client("emr-serverless")
    properties = _camel(deployed.stack.properties("Application"))
    # The API wants a kind in capitals, CloudFormation takes both.
    # Of the two releases, moto knows the pattern of the older one's name only.
    created = emr.create_application(**{**properties, "type": properties["type"].upper(), "releaseLabel": "emr-7.14.0"})
    application = emr.get_application(applicationId=created["applicationId"])["application"]
    assert application["releaseLabel"] == "emr-7.14.0"
    assert application["maximumCapacity"] == {"cpu": "16 vCPU", "memory": "64 GB", "disk": "200 GB"}
    assert application["autoStartConfiguration"] == {"enabled": True}
    assert application["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 5}
    assert application["networkConfiguration"] == {
        "subnetIds": deployed.outputs["SubnetIds"].split(","),
        "securityGroupIds": [deployed.outputs["JobSecurityGroupId"]],
    }

    for start in starts("2022-05-01T03:00:00Z"):
        given = {**_camel(start), "applicationId": created["applicationId"]}
        started = emr.start_job_run(**{**given, "executionRoleArn": deployed.outputs["JobRoleArn"]})
        run = emr.get_job_run(applicationId=created["applicationId"], jobRunId=started["jobRunId"])["jobRun"]
        assert run["name"] == start["Name"]
        assert run["executionRole"] == deployed.outputs["JobRoleArn"]
        assert run["jobDriver"]["sparkSubmit"]["entryPointArguments"][:2] == ["--start-date", "2022-04-30"]


def test_moto_does_not_know_the_name_of_the_default_release(deployed: Deployed) -> None:
    properties = {**_camel(deployed.stack.properties("Application")), "type": "SPARK"}
    with pytest.raises(ClientError, match="release label does not exist"):
        boto3.client("emr-serverless").create_application(**properties)


def test_glue_database_as_glue_takes_it(deployed: Deployed) -> None:
    glue = boto3.client("glue")
    glue.create_database(**deployed.stack.properties("GlueDatabase"))
    database = glue.get_database(Name=deployed.outputs["GlueDatabase"])["Database"]
    assert database["LocationUri"] == f"s3://{deployed.outputs['BucketName']}/output/lake/"


def test_state_machine_and_schedule_as_their_services_take_them(deployed: Deployed) -> None:
    machine = boto3.client("stepfunctions").describe_state_machine(stateMachineArn=deployed.outputs["DailyRunArn"])
    assert machine["name"] == f"{STACK}-daily"
    roles = boto3.client("iam")
    assert machine["roleArn"] == roles.get_role(RoleName=deployed.ids["DailyRunRole"])["Role"]["Arn"]

    scheduler = boto3.client("scheduler")
    scheduler.create_schedule(**deployed.stack.properties("Schedule"))
    schedule = scheduler.get_schedule(Name=f"{STACK}-daily")
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "cron(0 3 * * ? *)")
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["Target"]["Arn"] == deployed.outputs["DailyRunArn"]
    assert schedule["Target"]["RoleArn"] == roles.get_role(RoleName=deployed.ids["SchedulerRole"])["Role"]["Arn"]


def test_failures_reach_the_topic(deployed: Deployed) -> None:
    topic = deployed.outputs["FailureTopicArn"]
    events, sns, cloudwatch = boto3.client("events"), boto3.client("sns"), boto3.client("cloudwatch")
    rule = deployed.ids["FailedRun"]
    pattern = json.loads(events.describe_rule(Name=rule)["EventPattern"])
    assert pattern["source"] == ["aws.emr-serverless"]
    assert [target["Arn"] for target in events.list_targets_by_rule(Rule=rule)["Targets"]] == [topic]

    policy = deployed.stack.properties("FailureTopicPolicy")
    assert policy["Topics"] == [topic]
    document = json.dumps(policy["PolicyDocument"])
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)
    sns.subscribe(**deployed.stack.properties("FailureEmail"))
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", FULL["AlarmEmail"])

    for properties in deployed.stack.of_type("AWS::CloudWatch::Alarm").values():
        cloudwatch.put_metric_alarm(**properties)
    alarms = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(alarms) == {f"{STACK}-daily-run-failed", f"{STACK}-daily-run-missing"}
    assert all(alarm["AlarmActions"] == [topic] for alarm in alarms.values())


def test_redshift_has_the_shape_of_its_api(deployed: Deployed) -> None:
    """moto has no Redshift Serverless, so this goes no further than botocore's model of it."""
    redshift = boto3.client("redshift-serverless")
    for name, operation in (("Namespace", "CreateNamespace"), ("Workgroup", "CreateWorkgroup")):
        given = _camel(deployed.stack.properties(name))
        shape = redshift.meta.service_model.operation_model(operation).input_shape
        report = ParamValidator().validate(given, shape)
        assert not report.has_errors(), report.generate_report()


def test_egress_rules_as_ec2_takes_them(deployed: Deployed) -> None:
    ec2 = boto3.client("ec2")
    for properties in deployed.stack.of_type("AWS::EC2::SecurityGroupEgress").values():
        pair = {"GroupId": properties["DestinationSecurityGroupId"], "Description": properties["Description"]}
        ports = {name: properties[name] for name in ("IpProtocol", "FromPort", "ToPort")}
        ec2.authorize_security_group_egress(
            GroupId=properties["GroupId"], IpPermissions=[{**ports, "UserIdGroupPairs": [pair]}]
        )
    [group] = ec2.describe_security_groups(GroupIds=[deployed.ids["JobSecurityGroup"]])["SecurityGroups"]
    targets = {
        (pair["GroupId"], rule["ToPort"])
        for rule in group["IpPermissionsEgress"]
        for pair in rule.get("UserIdGroupPairs", [])
    }
    assert (deployed.ids["RedshiftSecurityGroup"], 5439) in targets
