"""Operations on whole campaigns, for deployments, the command and the Python interface."""
