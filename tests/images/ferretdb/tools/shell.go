package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dop251/goja"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

// The objects of the shell, in its own language, above two functions: one that runs a command and
// one that logs in. Documents cross between the languages as extended JSON.
//
//go:embed shell.js
var objects string

type session struct {
	a      *arguments
	out    *bufio.Writer
	client *mongo.Client
	vm     *goja.Runtime
}

// throw ends the JavaScript that called with an error as the real shell's: with "code".
func (s *session) throw(err error) {
	body := s.vm.NewObject()
	name, code := "MongoNetworkError", int32(0)
	var failure mongo.CommandError
	if errors.As(err, &failure) {
		name, code = "MongoServerError", failure.Code
	}
	body.Set("name", name)
	body.Set("message", err.Error())
	body.Set("code", code)
	panic(s.vm.ToValue(body))
}

func (s *session) run(database, command string) string {
	s.out.Flush()
	var body bson.D
	if err := bson.UnmarshalExtJSON([]byte(command), false, &body); err != nil {
		s.throw(err)
	}
	var reply bson.D
	if err := s.client.Database(database).RunCommand(context.Background(), body).Decode(&reply); err != nil {
		s.throw(err)
	}
	text, err := bson.MarshalExtJSON(reply, true, false)
	if err != nil {
		s.throw(err)
	}
	return string(text)
}

func (s *session) login(user, password, source string) {
	client, err := connect(s.a, user, password, source)
	if err != nil {
		s.throw(err)
	}
	s.client = client
}

func (s *session) print(call goja.FunctionCall) goja.Value {
	words := []string{}
	for _, each := range call.Arguments {
		words = append(words, each.String())
	}
	fmt.Fprintln(s.out, strings.Join(words, " "))
	return goja.Undefined()
}

// evaluate runs a script; its value is printed, as the real shell does with --eval.
func (s *session) evaluate(name, text string, show bool) error {
	result, err := s.vm.RunScript(name, text)
	var thrown *goja.Exception
	if errors.As(err, &thrown) {
		if body, is := thrown.Value().(*goja.Object); is && body.Get("message") != nil {
			return fmt.Errorf("%v: %v", body.Get("name"), body.Get("message"))
		}
	}
	if err != nil {
		return err
	}
	if show && !goja.IsUndefined(result) && !goja.IsNull(result) {
		if text, err := json.Marshal(result.Export()); err == nil {
			fmt.Fprintln(s.out, string(bytes.Trim(text, `"`)))
		}
	}
	return nil
}

func shell(words []string) error {
	a, err := parse(words, map[string]int{
		"host": value, "port": value, "eval": value, "file": value, "quiet": flag, "norc": flag,
	})
	if err != nil {
		return err
	}
	s := &session{a: a, out: bufio.NewWriter(os.Stdout), vm: goja.New()}
	defer s.out.Flush()
	if s.client, err = connect(a, "", "", ""); err != nil {
		return fmt.Errorf("MongoNetworkError: %w", err)
	}
	environment := map[string]string{}
	for _, each := range os.Environ() {
		name, text, _ := strings.Cut(each, "=")
		environment[name] = text
	}
	name, files := "test", a.values["file"]
	for _, word := range a.words {
		if strings.HasSuffix(word, ".js") {
			files = append(files, word)
		} else {
			name = word
		}
	}
	for member, is := range map[string]any{
		"_run": s.run, "_login": s.login, "print": s.print, "_database": name,
		"process": map[string]any{"env": environment},
		"sleep":   func(ms int64) { time.Sleep(time.Duration(ms) * time.Millisecond) },
	} {
		if err := s.vm.Set(member, is); err != nil {
			return err
		}
	}
	if err := s.evaluate("shell.js", objects, false); err != nil {
		return err
	}
	for _, each := range a.values["eval"] {
		if err := s.evaluate("--eval", each, true); err != nil {
			return err
		}
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := s.evaluate(path, string(text), false); err != nil {
			return err
		}
	}
	return nil
}
