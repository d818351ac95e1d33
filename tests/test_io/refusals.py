"""What a refused call says."""

import pytest

from pdae_sim.errors import InputError


def said(call, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)
