"""Messages of packages that their own catalogues do not translate, listed here so that hopla's catalogues have them.

A package's message is looked up in all catalogues, hopla's first. tests/common/api/test_details.py finds messages that
are missing here.
"""

from django.utils.translation import gettext_noop as _

JWT = (  # simplejwt has catalogues but is not an installed app, and has none for `pl`
    _("Authorization header must contain two space-delimited values"),
    _("Given token not valid for any token type"),
    _("Invalid algorithm specified"),
    _("No active account found for the given token."),
    _("No active account found with the given credentials"),
    _("The user's password has been changed."),
    _("Token '{}' claim has expired"),
    _("Token contained no recognizable user identification"),
    _("Token has no '{}' claim"),
    _("Token has no id"),
    _("Token has no type"),
    _("Token has wrong type"),
    _("Token is blacklisted"),
    _("Token is expired"),
    _("Token is invalid"),
    _("Token is invalid or expired"),
    _("User is inactive"),
    _("User not found"),
)
FIELDS = (
    _("A valid biginteger is required."),
    _("Datetime value out of range."),
    _("Ensure this field has at least {min_length} elements."),
    _("Ensure this field has no more than {max_length} elements."),
    _('Enter a valid "slug" consisting of Unicode letters, numbers, underscores, or hyphens.'),
    _("Integer value too large to convert to float"),
    _("Invalid input."),
    _('Invalid datetime for the timezone "{timezone}".'),
    _("Must be a valid UUID."),
    _("Must be a valid boolean."),
    _("Not a valid string."),
    _("Surrogate characters are not allowed: U+{code_point:X}."),
    _("This dictionary may not be empty."),
)
LISTS = (
    _("Expected available in {wait} second."),
    _("Expected available in {wait} seconds."),
    _("Range query expects two values."),
    _("Select a lookup."),
)
