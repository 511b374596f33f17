"""What is kept: uploaded files, secrets, PostgreSQL and Redis."""

from parts.vocabulary import Json, att, https_only, ref, resource, sub, when

SECRETS = {
    "DATABASE_URL": "DatabaseUrl",
    "REDIS_AUTH_TOKEN": "RedisToken",
    "JWT_SECRET": "JwtSecret",
    "ENCRYPTION_KEYS": "EncryptionKeys",
    "ONLYFANS_API_KEY": "PlatformKey",
    "ONLYFANS_WEBHOOK_SECRET": "WebhookSecret",
}


def bucket() -> Json:
    locked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "Uploads": resource(
            "S3::Bucket",
            {
                "PublicAccessBlockConfiguration": dict.fromkeys(locked, True),
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                    ]
                },
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "ImportsAreForgotten",
                            "Status": "Enabled",
                            "Prefix": "imports/",
                            "ExpirationInDays": 31,
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        }
                    ]
                },
            },
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
        "UploadsPolicy": resource(
            "S3::BucketPolicy",
            {
                "Bucket": ref("Uploads"),
                "PolicyDocument": https_only(
                    "s3:*", [att("Uploads", "Arn"), sub("${Uploads.Arn}/*")]
                ),
            },
        ),
    }


def secrets() -> Json:
    def generated(description: str) -> Json:
        return {
            "Description": description,
            # Lists are separated by commas, and the token may not hold every sign.
            "GenerateSecretString": {"PasswordLength": 48, "ExcludePunctuation": True},
        }

    keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    database = (
        "postgresql://huntaze:{{resolve:secretsmanager:${DatabasePassword}:SecretString}}"
        "@${Database.Endpoint.Address}:${Database.Endpoint.Port}/huntaze"
        "?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem"
    )
    kind = "SecretsManager::Secret"
    return {
        "DatabasePassword": resource(
            kind, generated("Password of PostgreSQL"), Condition="MakesDatabase", **keep
        ),
        "DatabaseUrl": resource(
            kind,
            {"Description": "DATABASE_URL", "SecretString": sub(database)},
            Condition="MakesDatabase",
        ),
        "RedisToken": resource(kind, generated("REDIS_AUTH_TOKEN"), Condition="MakesRedis", **keep),
        "JwtSecret": resource(kind, generated("JWT_SECRET, a list while rotating"), **keep),
        "EncryptionKeys": resource(
            kind, generated("ENCRYPTION_KEYS, a list while rotating"), **keep
        ),
        "PlatformKey": resource(
            kind, generated("ONLYFANS_API_KEY: put the gateway's key here"), **keep
        ),
        "WebhookSecret": resource(
            kind, generated("ONLYFANS_WEBHOOK_SECRET: put it into the gateway as well"), **keep
        ),
    }


def secret_arn(name: str) -> Json:
    logical = SECRETS[name]
    if name == "DATABASE_URL":
        return when("MakesDatabase", ref(logical), ref("DatabaseUrlSecretArn"))
    if name == "REDIS_AUTH_TOKEN":
        return when("MakesRedis", ref(logical), ref("RedisTokenSecretArn"))
    return ref(logical)


def stores() -> Json:
    return {
        "DatabaseSubnets": resource(
            "RDS::DBSubnetGroup",
            {
                "DBSubnetGroupDescription": "PostgreSQL of Huntaze",
                "SubnetIds": ref("PrivateSubnetIds"),
            },
            Condition="MakesDatabase",
        ),
        "DatabaseRules": resource(
            "RDS::DBParameterGroup",
            {
                "Description": "TLS or nothing",
                "Family": "postgres18",
                "Parameters": {"rds.force_ssl": "1"},
            },
            Condition="MakesDatabase",
        ),
        "Database": resource(
            "RDS::DBInstance",
            {
                "Engine": "postgres",
                "EngineVersion": "18",
                "DBParameterGroupName": ref("DatabaseRules"),
                "DBInstanceClass": ref("DatabaseClass"),
                "DBName": "huntaze",
                "MasterUsername": "huntaze",
                "MasterUserPassword": sub(
                    "{{resolve:secretsmanager:${DatabasePassword}:SecretString}}"
                ),
                "AllocatedStorage": "20",
                "MaxAllocatedStorage": 1000,
                "StorageType": "gp3",
                "StorageEncrypted": True,
                "BackupRetentionPeriod": 7,
                "CopyTagsToSnapshot": True,
                "DeletionProtection": True,
                "MultiAZ": when("Scaled", True, False),
                "PubliclyAccessible": False,
                "DBSubnetGroupName": ref("DatabaseSubnets"),
                "VPCSecurityGroups": [ref("DatabaseGroup")],
            },
            Condition="MakesDatabase",
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
        ),
        "RedisSubnets": resource(
            "ElastiCache::SubnetGroup",
            {"Description": "Redis of Huntaze", "SubnetIds": ref("PrivateSubnetIds")},
            Condition="MakesRedis",
        ),
        # An index that is rebuilt from PostgreSQL: small has no replica and no backup.
        "Redis": resource(
            "ElastiCache::ReplicationGroup",
            {
                "ReplicationGroupId": ref("RedisName"),
                "ReplicationGroupDescription": "Waiting room and caches of Huntaze",
                "Engine": "valkey",
                "EngineVersion": "8.0",
                "CacheNodeType": ref("RedisNodeType"),
                "NumCacheClusters": when("ScaledRedis", 2, 1),
                "AutomaticFailoverEnabled": when("ScaledRedis", True, False),
                "MultiAZEnabled": when("ScaledRedis", True, False),
                "TransitEncryptionEnabled": True,
                "AtRestEncryptionEnabled": True,
                "AuthToken": sub("{{resolve:secretsmanager:${RedisToken}:SecretString}}"),
                "CacheSubnetGroupName": ref("RedisSubnets"),
                "SecurityGroupIds": [ref("RedisGroup")],
            },
            Condition="MakesRedis",
        ),
    }
