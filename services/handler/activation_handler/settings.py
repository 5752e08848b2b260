"""What the mock handler can be told; read once, in `main()`."""

from typing import Annotated

from pydantic import AliasChoices, Field

from activation.settings import Port, ServiceSettings


class HandlerSettings(ServiceSettings):
    """The settings of the mock handler."""

    handler_port: Port = 8080

    # How long it takes to activate a device, in seconds. The real system takes about a minute.
    handler_seconds: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            validation_alias=AliasChoices("HANDLER_SECONDS", "ACTIVATION_HANDLER_SECONDS"),
        ),
    ] = 60.0

    # Activations at once; more calls are refused with 429. 0: any number.
    handler_room: Annotated[int, Field(ge=0)] = 0
