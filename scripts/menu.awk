# Print the targets of a Makefile from their comments: "##@ Group" and "target: ## what it does".
/^##@ / { printf "\n%s\n", substr($0, 5) }
match($0, /^[a-z0-9-]+:.*## /) { printf "  make %-12s %s\n", substr($0, 1, index($0, ":") - 1), substr($0, RLENGTH + 1) }
END { print "" }
