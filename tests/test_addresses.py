"""Claims about addresses: credentials are no part of one, and are never shown."""

import pytest

from avfusion.addresses import check_address, check_arguments, check_folder, is_address, redact

SECRET = "wJalr/X+7_bPx"
WITH_SECRETS = [
    f"s3://AKIA:{SECRET}@bucket/stores/x",
    f"s3://:{SECRET}@bucket/stores/x",
    f"https://{SECRET.partition('/')[0]}@host/x",
    f"https://host/x?token={SECRET}",
    f"gs://bucket/x?key=1&token={SECRET}",
    f"simplecache::s3://AKIA:{SECRET}@bucket/x",
    f"http://me:{SECRET}@[::1]:9000/x",
    f"gist://me:{SECRET}@1a2b3c/x",
]
WITHOUT = [
    "s3://bucket/stores/ravdess-1a2b3c4d",
    "hf://datasets/me/stores@main/ravdess-1a2b3c4d",
    "abfs://container@account.dfs.core.windows.net/stores/x",
    "sftp://me@host:2222/stores/x",
    "http://host:9000/a@b/x",
    "http://[::1]:9000/a@b/x",
    "github://organization:repository@main/stores/x",
    "simplecache::github://organization:repository@main/stores/x",
    "git://repository:main@stores/x",
    "file:///data/stores/x",
]


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_credentials_in_an_address_are_refused_and_not_repeated(address):
    for check in (
        lambda: check_address(address),
        lambda: check_arguments(["model=sum", f"+data.store=s3://a/b,{address}"]),
        lambda: check_arguments([f"prepare.upload={address}"]),
    ):
        with pytest.raises(
            ValueError, match=r"holds credentials or a query, .* AWS_PROFILE"
        ) as told:
            check()
        assert not any(part in str(told.value) for part in (*SECRET.split("/"), "AKIA"))
    assert SECRET.partition("/")[0] not in redact(f"Cannot reach '{address}': try again")


@pytest.mark.parametrize("address", WITHOUT)
def test_other_addresses_are_taken_as_they_are(address):
    assert check_address(f"{address}/") == address == redact(address) and is_address(address)
    check_arguments([f"data.store={address}"])


def test_other_services_have_their_own_ways():
    check_arguments([f"hydra.sweeper.storage=postgresql://me:{SECRET}@host/trials", "--multirun"])
    check_arguments([f"logger.mlflow.tracking_uri=https://me:{SECRET}@host"])


def test_stores_are_made_in_folders_alone():
    assert not is_address("data/stores") and str(check_folder("data/stores")) == "data/stores"
    with pytest.raises(
        ValueError, match=r"data.store=s3://a/b is no folder .* prepare.upload=<addr"
    ):
        check_folder("s3://a/b")
