"""Accounts: register, log in and out, look at and change oneself, passwords, JWT."""

from contextlib import contextmanager

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from djoser.views import UserViewSet
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.exceptions import Throttled
from rest_framework.filters import SearchFilter
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenViewBase

from apps.accounts import docs
from apps.accounts.emails import enqueue_password_reset, enqueue_verification
from apps.accounts.errors import CodeInvalidError, InvalidCredentialsError
from apps.accounts.models import AuthToken, MailAllowance, User
from apps.accounts.passwords import ChangedMeanwhile, change_password
from apps.accounts.permissions import ANYONE, SIGNED_IN, MayListUsers
from apps.accounts.serializers import (
    JwtPairSerializer,
    JwtRefreshSerializer,
    JwtVerifySerializer,
    LoginAnswerSerializer,
    LoginSerializer,
    NewUserSerializer,
    ProfileSerializer,
    RegistrationSerializer,
    ResetPasswordConfirmSerializer,
    ResetPasswordSerializer,
    SessionSerializer,
    SetPasswordSerializer,
    UserSerializer,
    VerificationSerializer,
)
from apps.accounts.tokens import end_jwt_sessions, end_sessions, new_jwt_pair, new_opaque_token
from apps.accounts.verification import mark_verified, sent_with_link, verify_by_code, verify_by_link
from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.mail.addresses import one_form


class PublicView(GenericAPIView):
    """Base of what needs no credentials, and so looks at none."""

    permission_classes = ANYONE
    authentication_classes = []

    def get_authenticate_header(self, request):
        return "Token"  # a 401 always says how to authenticate; there is no authenticator here to ask

    def valid(self, request):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return serializer


class RegisterView(PublicView):
    serializer_class = RegistrationSerializer
    throttle_scope = "register"

    @swagger_auto_schema(**docs.REGISTER)
    def post(self, request):
        user = self.valid(request).save()
        enqueue_verification(user, language=get_language())
        return Response(SessionSerializer(new_session(user)).data, status.HTTP_201_CREATED)


class LoginView(PublicView):
    serializer_class = LoginSerializer
    throttle_scope = "login"

    @swagger_auto_schema(**docs.LOGIN)
    def post(self, request):
        user = self.valid(request).user
        with refusing_changed_passwords():
            answer = new_session(user) | {"message": _("You are logged in.")}
        user_logged_in.send(sender=type(user), request=request, user=user)
        return Response(LoginAnswerSerializer(answer).data)


class LogoutView(APIView):
    permission_classes = SIGNED_IN

    @swagger_auto_schema(**docs.LOGOUT)
    def post(self, request):
        """The opaque token that was sent ends; a JWT cannot be ended alone, so all of the user's JWTs do."""
        if isinstance(request.auth, AuthToken):
            request.auth.delete()
        else:
            end_jwt_sessions(request.user)
        user_logged_out.send(sender=User, request=request, user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(APIView):
    permission_classes = SIGNED_IN

    @swagger_auto_schema(**docs.LOGOUT_ALL)
    def post(self, request):
        end_sessions(request.user)
        user_logged_out.send(sender=User, request=request, user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NameOrAddressFilter(SearchFilter):
    def get_search_terms(self, request):
        return [one_form(term) for term in super().get_search_terms(request)]


class UsersView(ListQueryMixin, ListAPIView):
    """Staff list users; anyone registers with an e-mail address."""

    queryset = User.objects.order_by("id")
    permission_classes = [MayListUsers]
    pagination_class = NumberedPages
    filter_backends = [NameOrAddressFilter]
    search_fields = ["username", "email", "name", "phone"]
    throttle_scope = "register"

    def get_serializer_class(self):
        return NewUserSerializer if self.request.method == "POST" else UserSerializer

    @swagger_auto_schema(**docs.LIST_USERS)
    def get(self, request):
        return super().get(request)

    @swagger_auto_schema(**docs.CREATE_USER)
    def post(self, request):
        new = self.get_serializer(data=request.data)
        new.is_valid(raise_exception=True)
        user = new.save()
        enqueue_verification(user, language=get_language())
        return Response(UserSerializer(user).data, status.HTTP_201_CREATED)


class MeView(RetrieveAPIView):
    serializer_class = ProfileSerializer
    permission_classes = SIGNED_IN

    def get_object(self):
        return self.request.user

    @swagger_auto_schema(**docs.READ_ME)
    def get(self, request):
        return super().get(request)

    @swagger_auto_schema(**docs.CHANGE_ME)
    def patch(self, request):
        change = self.get_serializer(request.user, data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        change.save()
        return Response(change.data)


class SetPasswordView(GenericAPIView):
    serializer_class = SetPasswordSerializer
    permission_classes = SIGNED_IN
    throttle_scope = "login"

    @swagger_auto_schema(**docs.SET_PASSWORD)
    def post(self, request):
        """The token of this request survives when it is an opaque one; every other token of the user ends."""
        change = self.get_serializer(data=request.data)
        change.is_valid(raise_exception=True)
        this_token = request.auth if isinstance(request.auth, AuthToken) else None
        try:
            change_password(request.user, change.validated_data["new_password"], surviving_token=this_token)
        except ChangedMeanwhile:
            change.fail_current_password()
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResetPasswordView(PublicView):
    serializer_class = ResetPasswordSerializer
    throttle_scope = "login"

    @swagger_auto_schema(**docs.RESET_PASSWORD)
    def post(self, request):
        enqueue_password_reset(self.valid(request).validated_data["email"], language=get_language())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResetPasswordConfirmView(PublicView):
    serializer_class = ResetPasswordConfirmSerializer
    throttle_scope = "login"
    token_generator = UserViewSet.token_generator  # djoser's serializer asks its view for it

    @swagger_auto_schema(**docs.RESET_PASSWORD_CONFIRM)
    def post(self, request):
        reset = self.valid(request)
        try:
            change_password(reset.user, reset.validated_data["new_password"])
        except ChangedMeanwhile:
            reset.fail_token()
        mark_verified(reset.user.pk, reset.user.email)  # what the mail held has come back
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyEmailView(GenericAPIView):
    serializer_class = VerificationSerializer
    permission_classes = SIGNED_IN
    throttle_scope = "login"

    @swagger_auto_schema(**docs.VERIFY_EMAIL)
    def post(self, request):
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        if not verify_by_code(request.user, sent.validated_data["code"]):
            raise CodeInvalidError
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResendVerificationView(APIView):
    permission_classes = SIGNED_IN
    throttle_scope = "verification"

    @swagger_auto_schema(**docs.RESEND_VERIFICATION)
    def post(self, request):
        """The job has the last word on how many mails there may be; asked here, a client learns how long to wait."""
        user = request.user
        if not user.email_verified:
            if wait := MailAllowance.objects.wait_seconds(user.email):
                raise Throttled(wait)
            enqueue_verification(user, language=get_language())
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerificationPage(View):
    """Behind the link in an e-mail. GET shows a button, as mail scanners follow links; POST needs no log-in, no cookie
    and no CSRF token: who has the link may confirm.
    """

    @method_decorator(never_cache)
    def get(self, request, token):
        sent = sent_with_link(token)
        return self._show(request, sent, verified=bool(sent and sent.used_at and sent.user.has_verified(sent.address)))

    @method_decorator(never_cache)
    def post(self, request, token):
        verified = verify_by_link(token)
        return self._show(request, sent_with_link(token) if verified else None, verified=verified)

    @staticmethod
    def _show(request, sent, *, verified: bool):
        is_good = sent is not None and sent.address == sent.user.email
        context = {"address": sent.address if is_good else "", "verified": verified and is_good}
        return render(request, "accounts/verification_page.html", context, status=200 if is_good else 404)


class JwtCreateView(PublicView):
    serializer_class = LoginSerializer
    throttle_scope = "login"

    @swagger_auto_schema(**docs.CREATE_JWT)
    def post(self, request):
        user = self.valid(request).user
        with refusing_changed_passwords():
            refresh = new_jwt_pair(user)
        user_logged_in.send(sender=type(user), request=request, user=user)
        return Response(JwtPairSerializer({"access": str(refresh.access_token), "refresh": str(refresh)}).data)


class JwtRefreshView(TokenViewBase):
    permission_classes = ANYONE
    serializer_class = JwtRefreshSerializer

    @swagger_auto_schema(**docs.REFRESH_JWT)
    def post(self, request):
        return super().post(request)


class JwtVerifyView(TokenViewBase):
    permission_classes = ANYONE
    serializer_class = JwtVerifySerializer

    @swagger_auto_schema(**docs.VERIFY_JWT)
    def post(self, request):
        return super().post(request)


def new_session(user: User) -> dict:
    token, secret = new_opaque_token(user)
    return {"token": secret, "expiry": token.expiry, "user": user}


@contextmanager
def refusing_changed_passwords():
    """Inside, a log-in whose password has been changed since it was compared is refused as any other wrong one."""
    try:
        yield
    except ChangedMeanwhile as exc:
        raise InvalidCredentialsError from exc
