"""The words of OAUTHBEARER; those of XOAUTH2 are aiosmtplib's."""

from __future__ import annotations

from mailsluice.smtp.token_login import bearer_response


def test_the_example_of_rfc_7628() -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="
    assert bearer_response("user@example.com", "server.example.com", 143, token) == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01"
    )


def test_a_comma_or_an_equals_sign_in_the_user_name_is_escaped() -> None:
    assert bearer_response("a,b=c", "h", 1, "t").startswith(b"n,a=a=2Cb=3Dc,\x01")
