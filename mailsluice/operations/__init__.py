"""Operations on whole campaigns, one module or package for each deployment."""
