package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

// The archive, as common/archive/spec.md of the real tools has it: a magic number, a header, a
// document for each collection, a terminator; then segments of documents, each behind a header
// that names its collection and before a terminator, and for each collection an end with a CRC.
const (
	magic       = 0x8199e26d
	terminator  = 0xffffffff
	segmentSize = 256 * 1024
	documentMax = 16*1024*1024 + 16*1024
	users       = "system.users"
)

type header struct {
	ConcurrentCollections int32  `bson:"concurrent_collections"`
	Version               string `bson:"version"`
	ServerVersion         string `bson:"server_version"`
	ToolVersion           string `bson:"tool_version"`
}

type collection struct {
	Database   string `bson:"db"`
	Collection string `bson:"collection"`
	Metadata   string `bson:"metadata"`
	Size       int32  `bson:"size"`
	Type       string `bson:"type"`
}

type namespace struct {
	Database   string `bson:"db"`
	Collection string `bson:"collection"`
	EOF        bool   `bson:"EOF"`
	CRC        int64  `bson:"CRC"`
}

func newCRC() hash.Hash64 { return crc64.New(crc64.MakeTable(crc64.ECMA)) }

var toolOptions = map[string]int{
	"host": value, "port": value, "username": value, "authenticationDatabase": value, "config": value,
	"db": value, "archive": optional, "oplog": flag, "oplogReplay": flag, "drop": flag, "quiet": flag,
	"stopOnError": flag, "nsInclude": value,
}

// open parses the options of a tool, reads the password from --config and connects.
func open(words []string) (*arguments, *mongo.Client, error) {
	a, err := parse(words, toolOptions)
	if err != nil {
		return nil, nil, err
	}
	if len(a.words) > 0 || !a.has("archive") || a.get("archive", "") != "" {
		return nil, nil, errors.New("only an archive by standard input or output is written here")
	}
	password := ""
	if path := a.get("config", ""); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("error opening file with --config: %w", err)
		}
		line := strings.TrimSuffix(string(text), "\n")
		quoted, is := strings.CutPrefix(line, "password: '")
		if !is || !strings.HasSuffix(quoted, "'") {
			return nil, nil, fmt.Errorf("error parsing config file %s", path)
		}
		password = strings.ReplaceAll(strings.TrimSuffix(quoted, "'"), "''", "'")
	}
	user := a.get("username", "")
	if user != "" && password == "" {
		return nil, nil, errors.New("error reading password: there is no terminal")
	}
	client, err := connect(a, user, password, a.get("authenticationDatabase", a.get("db", "admin")))
	return a, client, err
}

// ---- mongodump ----

func metadata(database *mongo.Database, name string, set bson.M) (string, error) {
	cursor, err := database.Collection(name).Indexes().List(context.Background())
	if err != nil {
		return "", err
	}
	indexes := bson.A{}
	if err = cursor.All(context.Background(), &indexes); err != nil {
		return "", err
	}
	body := bson.D{{Key: "options", Value: set}, {Key: "indexes", Value: indexes},
		{Key: "collectionName", Value: name}, {Key: "type", Value: "collection"}}
	text, err := bson.MarshalExtJSON(body, true, false)
	return string(text), err
}

func collections(client *mongo.Client, only string) ([]collection, error) {
	databases, err := client.ListDatabaseNames(context.Background(), bson.D{})
	if err != nil {
		return nil, err
	}
	found := []collection{}
	for _, name := range databases {
		if name == "local" || name == "config" || (only != "" && name != only) {
			continue
		}
		specifications, err := client.Database(name).ListCollectionSpecifications(context.Background(), bson.D{})
		if err != nil {
			return nil, err
		}
		for _, each := range specifications {
			if strings.HasPrefix(each.Name, "system.") && each.Name != users {
				continue
			}
			set := bson.M{}
			if len(each.Options) > 0 {
				if err := bson.Unmarshal(each.Options, &set); err != nil {
					return nil, err
				}
			}
			text, err := metadata(client.Database(name), each.Name, set)
			if err != nil {
				return nil, err
			}
			found = append(found, collection{Database: name, Collection: each.Name, Metadata: text, Type: "collection"})
		}
	}
	return found, nil
}

type writer struct {
	out *bufio.Writer
	err error
}

func (w *writer) bytes(data []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(data)
	}
}

func (w *writer) number(n uint32) { w.bytes(binary.LittleEndian.AppendUint32(nil, n)) }

func (w *writer) document(body any) {
	data, err := bson.Marshal(body)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.bytes(data)
}

func (w *writer) segment(of collection, documents *bytes.Buffer) {
	if documents.Len() == 0 {
		return
	}
	w.document(namespace{Database: of.Database, Collection: of.Collection})
	w.bytes(documents.Bytes())
	w.number(terminator)
	documents.Reset()
}

func (w *writer) collection(client *mongo.Client, of collection) error {
	cursor, err := client.Database(of.Database).Collection(of.Collection).Find(context.Background(), bson.D{})
	if err != nil {
		return err
	}
	defer cursor.Close(context.Background())
	crc, documents, count := newCRC(), &bytes.Buffer{}, 0
	for cursor.Next(context.Background()) {
		crc.Write(cursor.Current)
		documents.Write(cursor.Current)
		count++
		if documents.Len() >= segmentSize {
			w.segment(of, documents)
		}
	}
	if err := cursor.Err(); err != nil {
		return err
	}
	w.segment(of, documents)
	w.document(namespace{Database: of.Database, Collection: of.Collection, EOF: true, CRC: int64(crc.Sum64())})
	w.number(terminator)
	fmt.Fprintf(os.Stderr, "%s\tdone dumping %s.%s (%d documents)\n", time.Now().Format(time.RFC3339),
		of.Database, of.Collection, count)
	return w.err
}

func dump(words []string) error {
	a, client, err := open(words)
	if err != nil {
		return err
	}
	if a.has("oplog") {
		return errors.New("error getting oplog start: there is no oplog to read")
	}
	var info struct {
		Version string `bson:"version"`
	}
	command := bson.D{{Key: "buildInfo", Value: 1}}
	if err := client.Database("admin").RunCommand(context.Background(), command).Decode(&info); err != nil {
		return err
	}
	found, err := collections(client, a.get("db", ""))
	if err != nil {
		return err
	}
	w := &writer{out: bufio.NewWriterSize(os.Stdout, 1<<20)}
	w.number(magic)
	w.document(header{4, "0.1", info.Version, "in place of mongodump"})
	for _, each := range found {
		w.document(each)
	}
	w.number(terminator)
	for _, each := range found {
		if err := w.collection(client, each); err != nil {
			return err
		}
	}
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// ---- mongorestore ----

var errEnd = errors.New("a terminator")

// next reads a document; errEnd at a terminator, io.EOF where the archive ends between two blocks.
func next(in io.Reader, between bool) (bson.Raw, error) {
	var size [4]byte
	if n, err := io.ReadFull(in, size[:]); err != nil {
		if between && n == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("corruption found in archive; %w", io.ErrUnexpectedEOF)
	}
	length := binary.LittleEndian.Uint32(size[:])
	if length == terminator {
		return nil, errEnd
	}
	if length < 5 || length > documentMax {
		return nil, fmt.Errorf("corruption found in archive; %d is neither a valid bson length nor a archive terminator", length)
	}
	data := make([]byte, length)
	copy(data, size[:])
	if _, err := io.ReadFull(in, data[4:]); err != nil {
		return nil, fmt.Errorf("corruption found in archive; %w", io.ErrUnexpectedEOF)
	}
	return data, nil
}

type target struct {
	collection
	into    *mongo.Collection
	crc     hash.Hash64
	batch   []any
	size    int
	indexes []bson.D
	ended   bool
	left    bool // not asked for: only read
	failed  *int
	written *int
}

func (t *target) flush() error {
	if t.left {
		t.batch = nil
	}
	if len(t.batch) == 0 {
		return nil
	}
	_, err := t.into.InsertMany(context.Background(), t.batch)
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) {
		for _, each := range bulk.WriteErrors {
			fmt.Fprintf(os.Stderr, "%s\tcontinuing through error: %v\n", time.Now().Format(time.RFC3339), each)
		}
		*t.failed += len(bulk.WriteErrors)
		*t.written -= len(bulk.WriteErrors)
		err = nil
	}
	*t.written += len(t.batch)
	t.batch, t.size = nil, 0
	return err
}

func (t *target) prepare(drop bool) error {
	var body struct {
		Options bson.D   `bson:"options"`
		Indexes []bson.D `bson:"indexes"`
	}
	if err := bson.UnmarshalExtJSON([]byte(t.Metadata), true, &body); err != nil {
		return err
	}
	// The real tool merges users in the server; here they replace those that are there.
	if t.Collection == users {
		if !drop {
			return nil
		}
		_, err := t.into.DeleteMany(context.Background(), bson.D{})
		return err
	}
	if drop {
		if err := t.into.Drop(context.Background()); err != nil {
			return err
		}
	}
	for _, each := range body.Indexes {
		kept := bson.D{}
		isPrimary := false
		for _, member := range each {
			isPrimary = isPrimary || (member.Key == "name" && member.Value == "_id_")
			if member.Key != "ns" && member.Key != "v" {
				kept = append(kept, member)
			}
		}
		if !isPrimary {
			t.indexes = append(t.indexes, kept)
		}
	}
	command := append(bson.D{{Key: "create", Value: t.Collection}}, body.Options...)
	err := t.into.Database().RunCommand(context.Background(), command).Err()
	var failure mongo.CommandError
	if errors.As(err, &failure) && failure.Code == 48 {
		return nil
	}
	return err
}

func (t *target) finish(end namespace) error {
	if err := t.flush(); err != nil {
		return err
	}
	if int64(t.crc.Sum64()) != end.CRC {
		return fmt.Errorf("CRC mismatch for namespace %s.%s", t.Database, t.Collection)
	}
	t.ended = true
	if len(t.indexes) == 0 {
		return nil
	}
	command := bson.D{{Key: "createIndexes", Value: t.Collection}, {Key: "indexes", Value: t.indexes}}
	return t.into.Database().RunCommand(context.Background(), command).Err()
}

// blocks reads what is behind the prelude.
func blocks(in io.Reader, targets map[string]*target) error {
	for {
		raw, err := next(in, true)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var name namespace
		if err := bson.Unmarshal(raw, &name); err != nil {
			return err
		}
		t := targets[name.Database+"."+name.Collection]
		if t == nil || t.ended {
			return fmt.Errorf("namespace header for unknown or ended namespace %s.%s", name.Database, name.Collection)
		}
		for {
			document, err := next(in, false)
			if err == errEnd {
				break
			}
			if err != nil {
				return err
			}
			t.crc.Write(document)
			t.batch = append(t.batch, document)
			if t.size += len(document); t.size >= segmentSize || len(t.batch) == 1000 {
				if err := t.flush(); err != nil {
					return err
				}
			}
		}
		if name.EOF {
			if err := t.finish(name); err != nil {
				return err
			}
		}
	}
}

func restore(words []string) error {
	a, client, err := open(words)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	var number uint32
	if err := binary.Read(in, binary.LittleEndian, &number); err != nil || number != magic {
		return errors.New("stream or file does not appear to be a mongodump archive")
	}
	if _, err := next(in, false); err != nil {
		return err
	}
	targets, written, failed := map[string]*target{}, 0, 0
	for {
		raw, err := next(in, false)
		if err == errEnd {
			break
		}
		if err != nil {
			return err
		}
		t := &target{crc: newCRC(), written: &written, failed: &failed}
		if err := bson.Unmarshal(raw, &t.collection); err != nil {
			return err
		}
		if t.Collection == "oplog" && t.Database == "" {
			continue
		}
		wanted, is := strings.CutSuffix(a.get("nsInclude", t.Database+".*"), ".*")
		if !is {
			return errors.New("--nsInclude: here only DATABASE.* is known")
		}
		t.into = client.Database(t.Database).Collection(t.Collection)
		targets[t.Database+"."+t.Collection] = t
		if t.left = wanted != t.Database; t.left {
			continue
		}
		if err := t.prepare(a.has("drop")); err != nil {
			return err
		}
	}
	if a.has("oplogReplay") {
		return errors.New("no oplog file to replay; make sure you run mongodump with --oplog")
	}
	if err := blocks(in, targets); err != nil {
		return err
	}
	for name, each := range targets {
		if !each.ended {
			return fmt.Errorf("archive finished before all collections were seen (%s)", name)
		}
	}
	fmt.Fprintf(os.Stderr, "%s\t%d document(s) restored successfully. %d document(s) failed to restore.\n",
		time.Now().Format(time.RFC3339), written, failed)
	return nil
}
