"""What a researcher asks of the graph: shares of risk, sensitivities, worst cases, structures."""
