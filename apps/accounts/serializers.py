"""Users, passwords and tokens as JSON. No response contains a password, hashed or not."""

from typing import NoReturn

import phonenumbers
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.fields import get_error_detail
from rest_framework_simplejwt.serializers import TokenRefreshSerializer, TokenVerifySerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import UntypedToken

from apps.accounts.errors import InvalidCredentialsError, TokenNotValidError
from apps.accounts.models import User
from apps.accounts.passwords import decode_uid, normal_password
from apps.accounts.tokens import SingleUseRefreshToken, is_ended
from apps.common.api.fields import NullIsLeftOut, RefusesFixedFields, StrictCharField

NEW_PASSWORD_MAX_LENGTH = 128


class PasswordField(StrictCharField):
    """A password as it was typed, outer spaces included, as Django's forms take it. It is never shown."""

    def __init__(self, **kwargs):
        super().__init__(write_only=True, trim_whitespace=False, style={"input_type": "password"}, **kwargs)


class StrictModelSerializer(serializers.ModelSerializer):
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StrictCharField,
    }


class UserSerializer(StrictModelSerializer):
    email_verified = serializers.BooleanField(read_only=True, help_text="Whether its user has confirmed it.")

    class Meta:
        model = User
        fields = ["id", "username", "email", "email_verified", "name", "phone", "language", "is_staff", "date_joined"]
        read_only_fields = fields
        extra_kwargs = {"language": {"allow_blank": True}}  # empty until the user chooses one


class ProfileSerializer(NullIsLeftOut, RefusesFixedFields, UserSerializer):
    """What users can change about themselves: name, phone and the language of their e-mails."""

    phone = StrictCharField(required=False, allow_blank=True, max_length=32, help_text="With its country code.")

    class Meta(UserSerializer.Meta):
        read_only_fields = ["id", "username", "email", "email_verified", "is_staff", "date_joined"]

    fixed_fields = ("password",)  # and what is read only

    def validate_phone(self, value):
        return e164(value) if value else ""

    def update(self, instance, validated_data):
        """Save only the fields that were sent: the rest of `instance` may be out of date."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


class RegistrationSerializer(NullIsLeftOut, StrictModelSerializer):
    """A new user: unique without regard to case, with a password that Django's validators accept."""

    email = serializers.EmailField(max_length=254)
    password = PasswordField(max_length=NEW_PASSWORD_MAX_LENGTH)
    phone = StrictCharField(required=False, allow_blank=True, max_length=32, help_text="With its country code.")

    class Meta:
        model = User
        fields = ["username", "email", "password", "name", "phone"]

    def validate_phone(self, value):
        return e164(value) if value else ""

    def validate(self, attrs):
        candidate = User(**{name: value for name, value in attrs.items() if name != "password"})
        try:
            candidate.clean()
        except ValidationError as exc:
            raise serializers.ValidationError(serializers.as_serializer_error(exc)) from exc
        require_good_password(attrs["password"], candidate, field="password")
        return attrs

    def create(self, validated_data):
        try:
            with transaction.atomic():
                return User.objects.create_user(**validated_data)
        except IntegrityError as exc:  # another request took the name after the check
            message = _("This username or e-mail address is taken.")
            raise serializers.ValidationError({"username": [message]}, code="unique") from exc


class NewUserSerializer(RegistrationSerializer):
    """A new user; without a `username` the e-mail address serves."""

    username = StrictCharField(required=False, max_length=150, validators=[User.username_validator])

    def validate(self, attrs):
        attrs.setdefault("username", User.normalize_username(attrs["email"]))
        if len(attrs["username"]) > 150:
            raise serializers.ValidationError({"username": [_("Send a username of at most 150 characters.")]})
        return super().validate(attrs)


class LoginSerializer(NullIsLeftOut, serializers.Serializer):
    """`username` or `email`, and the password. Sets `user`; raises InvalidCredentialsError."""

    username = StrictCharField(required=False, max_length=254)
    email = StrictCharField(required=False, max_length=254)
    password = PasswordField()

    def validate(self, attrs):
        name = attrs.get("username") or attrs.get("email")
        if not name:
            raise serializers.ValidationError(
                {"username": [_("Send a username or an e-mail address.")]}, code="required"
            )
        self.user = authenticate(self.context["request"], username=name, password=attrs["password"])
        if self.user is None:
            raise InvalidCredentialsError
        return attrs


class SetPasswordSerializer(serializers.Serializer):
    """A new password, by the current one."""

    default_error_messages = {"invalid_password": _("Invalid password.")}

    current_password = PasswordField()
    new_password = PasswordField(max_length=NEW_PASSWORD_MAX_LENGTH)

    def validate_current_password(self, value):
        if not self.context["request"].user.check_password(value):
            self.fail("invalid_password")
        return value

    def validate(self, attrs):
        require_good_password(attrs["new_password"], self.context["request"].user, field="new_password")
        return attrs

    def fail_current_password(self):
        """Another request changed it since it was compared."""
        refuse_field(self, "current_password", code="invalid_password")


class ResetPasswordConfirmSerializer(serializers.Serializer):
    """A new password, by the values of the mail. Sets `user`."""

    default_error_messages = {
        "invalid_uid": _("Invalid user id or user doesn't exist."),
        "invalid_token": _("Invalid token for given user."),
    }

    uid = StrictCharField()
    token = StrictCharField()
    new_password = PasswordField(max_length=NEW_PASSWORD_MAX_LENGTH)

    def validate(self, attrs):
        try:
            self.user = User.objects.get(pk=decode_uid(attrs["uid"]))
        except (User.DoesNotExist, ValueError, OverflowError):
            refuse_field(self, "uid", code="invalid_uid")
        if not default_token_generator.check_token(self.user, attrs["token"]):
            self.fail_token()
        require_good_password(attrs["new_password"], self.user, field="new_password")
        return attrs

    def fail_token(self):
        """It is wrong, or another request used it up since it was looked at."""
        refuse_field(self, "token", code="invalid_token")


class JwtRefreshSerializer(TokenRefreshSerializer):
    """simplejwt's own does not know ended sessions, and crashes when the user is deleted."""

    token_class = SingleUseRefreshToken

    @transaction.atomic
    def validate(self, attrs):
        require_live(self.token_class(attrs["refresh"]))
        return super().validate(attrs)


class JwtVerifySerializer(TokenVerifySerializer):
    """simplejwt's own returns 400 for a token that was rotated out, and does not know ended sessions."""

    def validate(self, attrs):
        require_live(UntypedToken(attrs["token"]))
        try:
            return super().validate(attrs)
        except serializers.ValidationError as exc:
            raise TokenNotValidError from exc


def require_live(token) -> None:
    """Raise TokenNotValidError unless the token's user exists, is active and has not ended this session."""
    user = User.objects.filter(pk=token.get(api_settings.USER_ID_CLAIM), is_active=True).first()
    if user is None or is_ended(token, user):
        raise TokenNotValidError


class JwtPairSerializer(serializers.Serializer):
    """A JWT pair: `access` goes into `Authorization: Bearer`, `refresh` is traded once for the next pair."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class VerificationSerializer(serializers.Serializer):
    code = StrictCharField(max_length=64, help_text="Of the newest e-mail.")


class ResetPasswordSerializer(serializers.Serializer):
    email = serializers.EmailField(max_length=254)


class SessionSerializer(serializers.Serializer):
    """An opaque token, its end, and whose it is."""

    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`. It is shown only here.")
    expiry = serializers.DateTimeField()
    user = UserSerializer()


class LoginAnswerSerializer(SessionSerializer):
    message = serializers.CharField()


def refuse_field(serializer, field: str, *, code: str) -> NoReturn:
    """Raise a ValidationError of this field, as `serializer.fail(code)` does for no field."""
    raise serializers.ValidationError({field: [serializer.error_messages[code]]}, code=code)


def require_good_password(password: str, user: User, *, field: str) -> None:
    """Raise a ValidationError of this field, with the codes of Django's validators, for a password that they refuse."""
    try:
        validate_password(normal_password(password), user)
    except ValidationError as exc:
        raise serializers.ValidationError({field: get_error_detail(exc)}) from exc


def e164(number: str) -> str:
    """Return the number in E.164, such as +34600123456. Raises a ValidationError for an invalid one."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        raise serializers.ValidationError(
            _("This is not a valid phone number with its country code, such as +34600123456."), code="invalid"
        )
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
