//go:build tools

// Package tools names the program that is built, so that go.sum covers it.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs"
