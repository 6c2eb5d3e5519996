"""Clients that send a JWT, and the two ways to ask whether credentials still work."""

from rest_framework.test import APIClient

from apps.accounts.models import User
from apps.accounts.tokens import new_jwt_pair
from tests.makers import client_for

ME = "/api/v1/auth/users/me/"
REFRESH = "/api/v1/auth/jwt/refresh/"


def bearer_client(access) -> APIClient:
    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


def bearer_client_for(user: User) -> APIClient:
    return bearer_client(new_jwt_pair(user).access_token)


def both_clients_for(user: User) -> dict[str, APIClient]:
    return {"Token": client_for(user), "Bearer": bearer_client_for(user)}


def works(client: APIClient) -> bool:
    """Whether hopla takes the client's credentials; anything but yes and a plain 401 is an AssertionError."""
    status = client.get(ME).status_code
    assert status in (200, 401), status
    return status == 200


def refreshes(refresh) -> bool:
    """Whether the refresh token still buys a pair. It is spent when it does."""
    status = client_for().post(REFRESH, {"refresh": str(refresh)}).status_code
    assert status in (200, 401), status
    return status == 200
