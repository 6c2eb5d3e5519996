"""Register and log in."""

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext as _
from drf_yasg import openapi
from drf_yasg.utils import swagger_auto_schema
from knox.models import get_token_model
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from apps.accounts.errors import InvalidCredentialsError
from apps.accounts.serializers import (
    LoginAnswerSerializer,
    LoginSerializer,
    RegistrationSerializer,
    SessionSerializer,
)


class RegisterView(GenericAPIView):
    serializer_class = RegistrationSerializer
    throttle_scope = "register"
    permission_classes = [AllowAny]
    authentication_classes = []

    @swagger_auto_schema(
        operation_id="auth_register",
        operation_summary="Register",
        tags=["auth"],
        security=[],
        responses={
            201: openapi.Response("Registered and logged in.", SessionSerializer),
            400: "Invalid input.",
            413: "The body is too large.",
            415: "The body is not JSON.",
        },
    )
    def post(self, request):
        registration = self.get_serializer(data=request.data)
        registration.is_valid(raise_exception=True)
        user = registration.save()
        return Response(SessionSerializer(new_session(user)).data, status.HTTP_201_CREATED)


class LoginView(GenericAPIView):
    serializer_class = LoginSerializer
    throttle_scope = "login"
    permission_classes = [AllowAny]
    authentication_classes = []

    def get_authenticate_header(self, request):
        return "Token"  # 401 always says how to authenticate; the view itself has no authenticator to ask

    @swagger_auto_schema(
        operation_id="auth_login",
        operation_summary="Log in",
        tags=["auth"],
        security=[],
        responses={
            200: openapi.Response("Logged in.", LoginAnswerSerializer),
            400: "Invalid input.",
            401: "`invalid_credentials`",
            413: "The body is too large.",
            415: "The body is not JSON.",
        },
    )
    def post(self, request):
        login = self.get_serializer(data=request.data)
        login.is_valid(raise_exception=True)
        name = login.validated_data.get("username") or login.validated_data["email"]
        user = authenticate(request, username=name, password=login.validated_data["password"])
        if user is None:
            raise InvalidCredentialsError
        user_logged_in.send(sender=type(user), request=request, user=user)
        answer = new_session(user) | {"message": _("You are logged in.")}
        return Response(LoginAnswerSerializer(answer).data)


def new_session(user) -> dict:
    """A fresh token of this user: hashed at rest, so that this is the one moment it can be read."""
    token, secret = get_token_model().objects.create(user=user)
    return {"token": secret, "expiry": token.expiry, "user": user}
