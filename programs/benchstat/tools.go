//go:build tools

// Package tools names the program that is built, so that go.sum covers it.
package tools

import _ "golang.org/x/perf/cmd/benchstat"
