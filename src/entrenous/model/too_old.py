"""Two programs that speak no protocol in common (docs/spec/identity.md section 3)."""

from entrenous.model.errors import Refused


class WeAreTooOld(Refused):
    """
    {name} speaks protocol {floor} to {newest}; this Entrenous speaks {ours}. Update it:
    {update}. Nothing was sent to anybody.
    """


class TheyAreTooOld(Refused):
    """
    {name} speaks protocol {floor} to {newest}, which this Entrenous, that speaks {ours}, does not
    any more. Nothing was sent to anybody. They have to update theirs: {update}
    """
