// What the tests have in place of MongoDB's own tools: mongosh, mongodump and mongorestore, with
// the options, the archive format, the messages and the exit codes that those are documented to
// have, as far as the driver uses them. One program; its name says which one it is.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// How an option takes its value.
const (
	flag     = iota // it has none
	value           // "--x y" or "--x=y"
	optional        // only "--x=y"
)

type arguments struct {
	values map[string][]string
	words  []string
}

func (a *arguments) has(name string) bool { return len(a.values[name]) > 0 }

func (a *arguments) get(name, otherwise string) string {
	if found := a.values[name]; len(found) > 0 {
		return found[len(found)-1]
	}
	return otherwise
}

// parse knows the options by name; another one is an error, as with the real tools.
func parse(words []string, known map[string]int) (*arguments, error) {
	found := &arguments{values: map[string][]string{}}
	for i := 0; i < len(words); i++ {
		word := words[i]
		if !strings.HasPrefix(word, "--") {
			found.words = append(found.words, word)
			continue
		}
		name, text, glued := strings.Cut(word[2:], "=")
		kind, is := known[name]
		if !is {
			return nil, fmt.Errorf("unknown option %q", name)
		}
		if kind == value && !glued {
			if i++; i == len(words) {
				return nil, fmt.Errorf("expected argument for flag `--%s'", name)
			}
			text = words[i]
		}
		found.values[name] = append(found.values[name], text)
	}
	return found, nil
}

// connect opens a client and asks the server for a sign of life.
func connect(a *arguments, user, password, source string) (*mongo.Client, error) {
	address := &url.URL{
		Scheme:   "mongodb",
		Host:     a.get("host", "localhost") + ":" + a.get("port", "27017"),
		Path:     "/",
		RawQuery: "directConnection=true",
	}
	wanted := options.Client().ApplyURI(address.String()).SetServerSelectionTimeout(5 * time.Second)
	if user != "" {
		wanted.SetAuth(options.Credential{
			Username: user, Password: password, AuthSource: source, PasswordSet: true,
			AuthMechanism: "SCRAM-SHA-256",
		})
	}
	client, err := mongo.Connect(context.Background(), wanted)
	if err != nil {
		return nil, err
	}
	return client, client.Ping(context.Background(), nil)
}

func main() {
	programs := map[string]func([]string) error{
		"mongosh": shell, "mongodump": dump, "mongorestore": restore,
	}
	name := filepath.Base(os.Args[0])
	run, is := programs[name]
	if !is {
		fmt.Fprintf(os.Stderr, "%s: no such tool\n", name)
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		if name != "mongosh" {
			fmt.Fprintf(os.Stderr, "%s\tFailed: %v\n", time.Now().Format(time.RFC3339), err)
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}
