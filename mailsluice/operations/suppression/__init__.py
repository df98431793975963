"""The suppression list: addresses that get no mail, whatever the campaign."""
