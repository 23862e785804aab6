"""The cards of ``monitoring.summary`` for templates of other rooms: the admin's index is Django's."""

from django import template

from monitoring import summary

register = template.Library()


@register.simple_tag
def summary_cards() -> list[summary.Card]:
    """Return the cards of this moment."""
    return summary.cards()
