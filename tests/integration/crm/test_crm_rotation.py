"""ENCRYPTION_KEYS change while everything runs."""

from pydantic import SecretStr

from infra.cipher import Cipher
from infra.rotation import KeyRotation
from tests.crm import Crm

OLD, NEW = SecretStr("the old key"), SecretStr("the new key")


def store(crm: Crm, cipher: Cipher, secrets: list[str]) -> None:
    for n, secret in enumerate(secrets):
        crm.sql(
            "INSERT INTO platform_connections (user_id, name, account_id, access_key, state)"
            " VALUES (:owner, 'Luna', :account, :key, :state)",
            owner=crm.owner,
            account=f"acct_{secret}",
            key=cipher.encrypt(secret),
            state="disconnected" if n % 2 else "active",
        )


def readable(crm: Crm, cipher: Cipher) -> list[str | None]:
    rows = crm.sql("SELECT access_key FROM platform_connections ORDER BY id")
    return [cipher.decrypt(row.access_key) for row in rows]


def test_every_access_key_comes_under_the_first_key_and_a_second_run_finds_nothing(
    crm: Crm,
) -> None:
    secrets = [f"key-{n}" for n in range(450)]  # more than two batches
    store(crm, Cipher([OLD]), secrets)
    rotation = KeyRotation(crm.engine, Cipher([NEW, OLD]))

    first, second = rotation.run(), rotation.run()

    assert (first.renewed, first.current, first.unreadable) == (450, 0, [])
    assert (second.renewed, second.current, second.unreadable) == (0, 450, [])
    # The two accounts of every test have no key.
    assert readable(crm, Cipher([NEW])) == [None, None, *secrets]


def test_a_key_that_nothing_opens_is_named_and_the_rest_is_done(crm: Crm) -> None:
    store(crm, Cipher([SecretStr("lost")]), ["a"])
    store(crm, Cipher([OLD]), ["b"])
    lost = crm.sql("SELECT id FROM platform_connections WHERE account_id = 'acct_a'")[0].id

    done = KeyRotation(crm.engine, Cipher([NEW, OLD])).run()

    assert (done.renewed, done.unreadable) == (1, [lost])


def test_an_account_that_was_connected_anew_meanwhile_keeps_its_new_key(crm: Crm) -> None:
    store(crm, Cipher([OLD]), ["a"])

    class Meanwhile(Cipher):
        def renewed(self, sealed: bytes) -> bytes | None:
            crm.sql(
                "UPDATE platform_connections SET access_key = :key WHERE access_key IS NOT NULL",
                key=Cipher([OLD]).encrypt("b"),
            )
            return super().renewed(sealed)

    done = KeyRotation(crm.engine, Meanwhile([NEW, OLD])).run()

    assert done.renewed == 0
    assert readable(crm, Cipher([OLD]))[-1] == "b"


def test_a_claim_reads_keys_of_both_ages(crm: Crm) -> None:
    both = Cipher([NEW, OLD])

    assert both.decrypt(Cipher([OLD]).encrypt("a")) == "a"
    assert both.renewed(both.encrypt("a")) is None
    assert Cipher([NEW]).decrypt(both.renewed(Cipher([OLD]).encrypt("a"))) == "a"
