"""Who may do what: every method of every route, as tests/test_access.py finds it.

    anonymous   sends no credentials
    guest       holds a guest link to the owner's ticket; outside api/, where it counts for nothing, anonymous
    stranger    a user to whom nothing at these addresses belongs
    owner       the user to whom the tickets, photos and support tickets at these addresses belong
    agent       staff, of the group "support agents"
    operator    staff, of the group "operators"
    superuser   staff, with every permission

Each request is good in every other respect. Under api/ it carries an opaque token or a JWT, with the same outcome, in
the admin a session. Routes are as Django has them, the empty one is `/`. A cell is the status of the answer, or
`login`: sent to the admin's log-in page.

    keys        of the API's routes: the scopes, separated by commas, of which each alone lets an API key of the owner
                do it; any other key gets 403. `-`: no key may. `*`: no credentials are read there, so a key counts for
                nothing.
"""

ENDPOINTS = """
                                                                 anonymous guest stranger owner agent operator superuser  keys
GET    /                                                               200   200      200   200   200      200       200
GET    healthz                                                         200   200      200   200   200      200       200
GET    .well-known/jwks.json                                           200   200      200   200   200      200       200
GET    readyz                                                          200   200      200   200   200      200       200
GET    documentation/                                                  200   200      200   200   200      200       200
GET    redoc/                                                          200   200      200   200   200      200       200
GET    swagger.json                                                    200   200      200   200   200      200       200

POST   api/v1/auth/register/                                           201   201      201   201   201      201       201  *
POST   api/v1/auth/login/                                              200   200      200   200   200      200       200  *
POST   api/v1/auth/logout/                                             401   403      204   204   204      204       204  -
POST   api/v1/auth/logout-all/                                         401   403      204   204   204      204       204  -
GET    api/v1/auth/users/                                              401   403      403   403   200      200       200  -
POST   api/v1/auth/users/                                              201   403      201   201   201      201       201  -
GET    api/v1/auth/users/me/                                           401   403      200   200   200      200       200  -
PATCH  api/v1/auth/users/me/                                           401   403      200   200   200      200       200  -
POST   api/v1/auth/users/set_password/                                 401   403      204   204   204      204       204  -
POST   api/v1/auth/users/reset_password/                               204   204      204   204   204      204       204  *
POST   api/v1/auth/users/reset_password_confirm/                       204   204      204   204   204      204       204  *
POST   api/v1/auth/verify-email/                                       401   403      400   204   400      400       400  -
POST   api/v1/auth/verify-email/resend/                                401   403      204   204   204      204       204  -
POST   api/v1/auth/jwt/create/                                         200   200      200   200   200      200       200  *
POST   api/v1/auth/jwt/refresh/                                        200   200      200   200   200      200       200  *
POST   api/v1/auth/jwt/verify/                                         200   200      200   200   200      200       200  *

POST   api/v1/api-keys/                                                401   403      201   201   201      201       201  -
GET    api/v1/api-keys/                                                401   403      200   200   200      200       200  -
GET    api/v1/api-keys/<int:api_key_id>/                               401   403      404   200   404      404       404  -
DELETE api/v1/api-keys/<int:api_key_id>/                               401   403      404   204   404      404       404  -

GET    api/v1/kinds/                                                   401   200      200   200   200      200       200  tickets:read,images:write,tickets:write
GET    api/v1/kinds/<slug:name>/                                       401   200      200   200   200      200       200  tickets:read,images:write,tickets:write

GET    api/v1/tickets/                                                 401   403      200   200   200      200       200  tickets:read,tickets:write
POST   api/v1/tickets/                                                 401   403      201   201   201      201       201  tickets:write
GET    api/v1/tickets/<int:ticket_id>/                                 401   200      404   200   200      200       200  tickets:read,images:write,tickets:write
GET    api/v1/tickets/<int:ticket_id>/status/                          401   200      404   200   200      200       200  tickets:read,images:write,tickets:write
GET    api/v1/tickets/<int:ticket_id>/manifest/                        401   403      404   200   200      200       200  tickets:read,tickets:write
GET    api/v1/tickets/<int:ticket_id>/archive/                         401   403      404   200   200      200       200  tickets:read,tickets:write
GET    api/v1/tickets/<int:ticket_id>/images/                          401   200      404   200   200      200       200  tickets:read,images:write,tickets:write
POST   api/v1/tickets/<int:ticket_id>/images/                          401   202      404   202   404      404       404  images:write
GET    api/v1/tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/ 401   200      404   200   200      200       200  tickets:read,images:write,tickets:write
POST   api/v1/tickets/<int:ticket_id>/images/<any_case_uuid:image_id>/confirm/ 401 202 404 202 404 404       404  images:write
POST   api/v1/tickets/<int:ticket_id>/direct-uploads/                  401   201      404   201   404      404       404  images:write
DELETE api/v1/tickets/<int:ticket_id>/direct-uploads/<any_case_uuid:image_id>/ 401 204 404 204 404 404       404  images:write
POST   api/v1/cloudinary/notifications/                                200   200      200   200   200      200       200  *
POST   api/v1/tickets/<int:ticket_id>/uploads/                       401   201      404   201   404      404       404  images:write
HEAD   api/v1/tickets/<int:ticket_id>/uploads/<any_case_uuid:upload_id>/ 401 200     404   200   404      404       404  images:write
PATCH  api/v1/tickets/<int:ticket_id>/uploads/<any_case_uuid:upload_id>/ 401 204     404   204   404      404       404  images:write
DELETE api/v1/tickets/<int:ticket_id>/uploads/<any_case_uuid:upload_id>/ 401 204     404   204   404      404       404  images:write

POST   api/v1/tickets/<int:ticket_id>/guest-links/                     401   403      404   201   404      404       404  tickets:write
GET    api/v1/tickets/<int:ticket_id>/guest-links/                     401   403      404   200   404      404       404  tickets:write
GET    api/v1/tickets/<int:ticket_id>/guest-links/<int:guest_link_id>/ 401   403      404   200   404      404       404  tickets:write
DELETE api/v1/tickets/<int:ticket_id>/guest-links/<int:guest_link_id>/ 401   403      404   204   404      404       404  tickets:write

GET    api/v1/events/                                                  401   403      200   200   200      200       200  tickets:read,tickets:write
POST   api/v1/webhooks/                                                401   403      201   201   201      201       201  webhooks:write
GET    api/v1/webhooks/                                                401   403      200   200   200      200       200  webhooks:write
GET    api/v1/webhooks/<int:webhook_id>/                               401   403      404   200   404      404       404  webhooks:write
PATCH  api/v1/webhooks/<int:webhook_id>/                               401   403      404   200   404      404       404  webhooks:write
DELETE api/v1/webhooks/<int:webhook_id>/                               401   403      404   204   404      404       404  webhooks:write
POST   api/v1/webhooks/<int:webhook_id>/rotate-secret/                 401   403      404   200   404      404       404  webhooks:write
POST   api/v1/webhooks/<int:webhook_id>/ping/                          401   403      404   202   404      404       404  webhooks:write
POST   api/v1/webhooks/<int:webhook_id>/recover/                       401   403      404   202   404      404       404  webhooks:write
GET    api/v1/webhooks/<int:webhook_id>/deliveries/                    401   403      404   200   404      404       404  webhooks:write
GET    api/v1/webhooks/<int:webhook_id>/deliveries/<int:delivery_id>/  401   403      404   200   404      404       404  webhooks:write
POST   api/v1/webhooks/<int:webhook_id>/deliveries/<int:delivery_id>/replay/ 401 403 404   202   404      404       404  webhooks:write

GET    api/v1/support/tickets/                                         401   403      200   200   200      200       200  support
POST   api/v1/support/tickets/                                         401   403      201   201   201      201       201  support
GET    api/v1/support/tickets/<int:support_ticket_id>/                 401   403      404   200   200      200       200  support
PUT    api/v1/support/tickets/<int:support_ticket_id>/                 401   403      404   403   200      200       200  support
PATCH  api/v1/support/tickets/<int:support_ticket_id>/                 401   403      404   403   200      200       200  support
GET    api/v1/support/tickets/<int:support_ticket_id>/messages/        401   403      404   200   200      200       200  support
POST   api/v1/support/tickets/<int:support_ticket_id>/messages/        401   403      404   201   201      201       201  support
POST   api/v1/support/tickets/<int:support_ticket_id>/subscribe/       401   403      404   204   404      404       404  support
POST   api/v1/support/tickets/<int:support_ticket_id>/unsubscribe/     401   403      404   204   404      404       404  support
GET    support/subscription/<str:token>/                               200   200      200   200   200      200       200
POST   support/subscription/<str:token>/                               200   200      200   200   200      200       200
GET    guest-page.css                                                  200   200      200   200   200      200       200
GET    guest-emails/<str:token>/                                       200   200      200   200   200      200       200
POST   guest-emails/<str:token>/                                       200   200      200   200   200      200       200
GET    u/<str:token>/                                                  200   200      200   200   200      200       200
POST   u/<str:token>/                                                  403   403      403   403   403      403       403
GET    verify-email/<str:token>/                                       200   200      200   200   200      200       200
POST   verify-email/<str:token>/                                       200   200      200   200   200      200       200

GET    api/                                                            404   404      404   404   404      404       404

GET    admin/                                                        login login    login login   200      200       200
GET    admin/login/                                                    200   200      200   200   302      302       302
POST   admin/language/                                                 302   302      302   302   302      302       302
POST   admin/logout/                                                   302   302      302   302   200      200       200
GET    admin/password_change/                                        login login    login login   200      200       200
GET    admin/password_change/done/                                   login login    login login   200      200       200
GET    admin/jsi18n/                                                 login login    login login   200      200       200
GET    admin/autocomplete/                                           login login    login login   403      403       403
GET    admin/r/<path:content_type_id>/<path:object_id>/              login login    login login   404      404       404
GET    admin/accounts/user/<id>/password/                            login login    login login   403      403       200
POST   admin/accounts/user/<id>/password/                            login login    login login   403      403       302
GET    admin/tickets/ticket/<int:ticket_id>/archive/                 login login    login login   200      200       200
GET    admin/tickets/ticket/<int:ticket_id>/manifest/                login login    login login   200      200       200
GET    admin/tickets/ticket/<int:ticket_id>/review/                  login login    login login   200      200       200
POST   admin/tickets/ticket/<int:ticket_id>/review/                  login login    login login   403      200       200
GET    admin/guests/guestlink/<int:link_id>/link/                    login login    login login   403      302       302
POST   admin/guests/guestlink/<int:link_id>/link/                    login login    login login   403      200       200
GET    admin/integrations/endpoint/<int:endpoint_id>/rotate-secret/  login login    login login   403      302       302
POST   admin/integrations/endpoint/<int:endpoint_id>/rotate-secret/  login login    login login   403      200       200
GET    admin/<app_label>/                                            login login    login login   200      200       200
GET    admin/<url>                                                   login login    login login   404      404       404
"""

# The pages of rows in the admin: V list and view, A add, C change, D delete; `-` none of them.
ADMIN_MODELS = """
                                                                 anonymous guest stranger owner agent operator superuser
accounts.user                                                        login login    login login     -        -      VACD
accounts.authtoken                                                   login login    login login     -        -        VD
auth.group                                                           login login    login login     -        -      VACD
token_blacklist.outstandingtoken                                     login login    login login     -        -         V
tickets.ticket                                                       login login    login login     V      VCD       VCD
tickets.image                                                        login login    login login     V       VD        VD
tickets.ticketkind                                                   login login    login login     V     VACD      VACD
tickets.assetremoval                                                 login login    login login     -        V        VD
tickets.transition                                                   login login    login login     V        V         V
guests.guestlink                                                     login login    login login     V       VA        VA
guests.guestemail                                                    login login    login login     V        V        VD
integrations.apikey                                                  login login    login login     V        V        VA
integrations.endpoint                                                login login    login login     V        V        VD
integrations.delivery                                                login login    login login     V        V        VD
integrations.webhookemail                                            login login    login login     V        V        VD
integrations.event                                                   login login    login login     V        V         V
support.supportticket                                                login login    login login    VC        -       VCD
support.email                                                        login login    login login     V        V        VD
"""

# Whole parts of the admin that go by one permission: `in` to all of their pages, or 403 from each.
ADMIN_PARTS = """
                                                                 anonymous guest stranger owner agent operator superuser
admin/django_rq/dashboard/                                           login login    login login   403      403        in
"""
