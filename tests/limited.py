"""MiniStack users whose rights are one policy, and buckets whose objects cannot be deleted."""

import json
import uuid
from dataclasses import dataclass

import boto3
from botocore.config import Config
from pydantic import SecretStr

CREATE_ONLY = ("s3:ListBucket", "s3:GetObject", "s3:PutObject")


@dataclass(frozen=True)
class Root:
    """MiniStack's root, whose key is not checked."""

    server: object

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="root",
            aws_secret_access_key="any",
            config=Config(proxies={}),
        )

    def user(self, place, policy):
        """The location with the keys of a new user whose rights are `policy`."""
        iam, name = self.client("iam"), f"user-{uuid.uuid4().hex}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="limits", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = {
            "access_key_id": SecretStr(key["AccessKeyId"]),
            "secret_access_key": SecretStr(key["SecretAccessKey"]),
        }
        return place.model_copy(update=keys)

    def locked_bucket(self, name):
        """A bucket whose objects cannot be deleted for a day, not even by root."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        s3.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        return name


def allow(bucket, *actions):
    """A policy that allows these actions on a bucket and all in it."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    return {"Version": "2012-10-17", "Statement": [statement]}
