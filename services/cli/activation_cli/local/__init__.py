"""A whole system on this machine: private servers, the services, and three samples.

``process`` manages one child process, ``rabbitmq`` and ``postgres`` are private servers made of it
(the tests use them too), ``system`` puts the parts together and ``run`` is `activation run`.
"""
