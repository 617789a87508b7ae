//! The keys of the blocks of key services, known also where the service is not built, so that a mistake in a block that
//! is not chosen shows all the same.

/// Where the parts of an Alibaba Cloud access key may be given.
pub(super) const ALIYUN_ACCESS_KEY: [&str; 6] = [
    "access_key_id_env",
    "access_key_id_file",
    "access_key_secret_env",
    "access_key_secret_file",
    "security_token_env",
    "security_token_file",
];

/// All keys of `aliyun`.
pub(super) const ALIYUN: [&str; 12] = {
    let [id_env, id_file, secret_env, secret_file, token_env, token_file] = ALIYUN_ACCESS_KEY;
    [
        "region",
        "key_id",
        "key_version_id",
        "endpoint",
        "ca_file",
        id_env,
        id_file,
        secret_env,
        secret_file,
        token_env,
        token_file,
        "ram_role",
    ]
};

/// Where the parts of an AWS access key may be given.
pub(super) const AWS_ACCESS_KEY: [&str; 6] = [
    "access_key_id_env",
    "access_key_id_file",
    "secret_access_key_env",
    "secret_access_key_file",
    "session_token_env",
    "session_token_file",
];

/// All keys of `aws-kms`.
pub(super) const AWS_KMS: [&str; 11] = {
    let [id_env, id_file, secret_env, secret_file, token_env, token_file] = AWS_ACCESS_KEY;
    ["region", "key_id", "endpoint", "fips", "ca_file", id_env, id_file, secret_env, secret_file, token_env, token_file]
};

/// All keys of `gcp`.
pub(super) const GCP: [&str; 7] =
    ["project", "location", "key_ring", "key_name", "key_version", "endpoint", "credentials_file"];
