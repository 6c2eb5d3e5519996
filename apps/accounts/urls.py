from django.urls import path

from apps.accounts import views

urlpatterns = [
    path("auth/register/", views.RegisterView.as_view(), name="register"),
    path("auth/login/", views.LoginView.as_view(), name="login"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/logout-all/", views.LogoutAllView.as_view(), name="logout-all"),
    path("auth/users/", views.UsersView.as_view(), name="users"),
    path("auth/users/me/", views.MeView.as_view(), name="me"),
    path("auth/users/set_password/", views.SetPasswordView.as_view(), name="set-password"),
    path("auth/users/reset_password/", views.ResetPasswordView.as_view(), name="reset-password"),
    path("auth/users/reset_password_confirm/", views.ResetPasswordConfirmView.as_view(), name="reset-password-confirm"),
    path("auth/verify-email/", views.VerifyEmailView.as_view(), name="verify-email"),
    path("auth/verify-email/resend/", views.ResendVerificationView.as_view(), name="verify-email-resend"),
    path("auth/jwt/create/", views.JwtCreateView.as_view(), name="jwt-create"),
    path("auth/jwt/refresh/", views.JwtRefreshView.as_view(), name="jwt-refresh"),
    path("auth/jwt/verify/", views.JwtVerifyView.as_view(), name="jwt-verify"),
]
