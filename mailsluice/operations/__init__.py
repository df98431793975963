"""What can be done with a campaign as a whole; one module or package a deployment."""
