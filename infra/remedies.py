"""What to do about what a dependency said, for `huntaze doctor`. Drivers say many things; each line
here is one that newcomers meet."""

# In the order in which they are looked for: a phrase of the answer, and the remedy.
POSTGRES = (
    ("password authentication failed", "correct the user or the password in DATABASE_URL"),
    ("no password supplied", "put the password into DATABASE_URL: postgresql://user:password@..."),
    ("root certificate file", "sslrootcert in DATABASE_URL names a file that is not there"),
    ("certificate verify failed", "sslrootcert in DATABASE_URL must be of who signed the server"),
    ("does not match host name", "use the host name of the certificate in DATABASE_URL"),
    ("does not support SSL", "switch TLS on at the server, or drop sslmode from DATABASE_URL"),
    ("no pg_hba.conf entry", "let this machine in at the server, or ask for TLS: sslmode=require"),
    ("too many", "end other clients, or lower DATABASE_POOL_SIZE"),
    ('role "', "correct the user or the password in DATABASE_URL"),
    ("does not exist", "create the database, or correct its name in DATABASE_URL"),
    ("could not translate host name", "correct the host in DATABASE_URL"),
    ("failed to resolve host", "correct the host in DATABASE_URL"),
    ("refused", "start PostgreSQL, or correct host and port in DATABASE_URL"),
    ("timeout", "open the firewall to PostgreSQL, or correct the host in DATABASE_URL"),
)
REDIS = (
    ("invalid username-password", "set REDIS_AUTH_TOKEN to the server's password"),
    ("invalid password", "set REDIS_AUTH_TOKEN to the server's password"),
    ("authentication required", "set REDIS_AUTH_TOKEN to the server's password"),
    ("without any password", "the server asks no password: drop REDIS_AUTH_TOKEN"),
    ("certificate verify failed", "the server's certificate must be of a known authority"),
    (
        "ssl",
        "REDIS_AUTH_TOKEN switches TLS on: switch it on at the server, or drop the token",
    ),
    (
        "connection closed by server",
        "the server may speak TLS only: set REDIS_AUTH_TOKEN, which switches TLS on",
    ),
    ("name or service not known", "correct the host in REDIS_ENDPOINT"),
    ("refused", "start Redis, or correct host and port in REDIS_ENDPOINT"),
    (
        "timeout",
        "open the firewall to it, or correct REDIS_ENDPOINT; REDIS_AUTH_TOKEN switches TLS on",
    ),
)
CREDENTIALS = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or drop both and use a role"
AWS = (
    ("ExpiredToken", "get a new AWS_SESSION_TOKEN with its keys, or drop them and use a role"),
    ("TokenRefreshRequired", "get a new AWS_SESSION_TOKEN with its keys"),
    ("RequestTimeTooSkewed", "let this machine's clock follow a time server"),
    ("RequestExpired", "let this machine's clock follow a time server"),
    ("InvalidClientTokenId", CREDENTIALS),
    ("InvalidAccessKeyId", CREDENTIALS),
    ("SignatureDoesNotMatch", CREDENTIALS),
    ("UnrecognizedClient", CREDENTIALS),
    ("InvalidSecurity", CREDENTIALS),
    ("NoCredentials", "give the machine a role, or set AWS_ACCESS_KEY_ID and its secret"),
    ("PartialCredentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both"),
    ("AccessDenied", "allow these credentials to use it"),
    ("(403)", "allow these credentials to use it"),
    ("NonExistentQueue", "create it, or correct its address in the settings"),
    ("QueueDoesNotExist", "create it, or correct its address in the settings"),
    ("(404)", "create it, or correct its name in the settings"),
    ("EndpointConnection", "is AWS_ENDPOINT_URL or AWS_REGION right, and may we reach it?"),
    ("ConnectTimeout", "open the way to AWS: NAT, an endpoint, or a firewall rule"),
    ("ReadTimeout", "it answers too slowly: try again, then ask who runs it"),
)


def remedy(said: str, known: tuple[tuple[str, str], ...], otherwise: str) -> str:
    """The remedy of the first phrase that is in what was said."""
    lower = said.lower()
    return next((cure for phrase, cure in known if phrase.lower() in lower), otherwise)
