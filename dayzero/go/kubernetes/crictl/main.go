// crictl knows the one question that minikube asks of a node's container runtime: its version. The real tool is no Go
// module that a proxy serves, and nothing else of it is needed on a node that runs docker.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const socket = "unix:///run/cri-dockerd.sock"

func main() {
	words := os.Args[1:]
	if len(words) == 0 || words[len(words)-1] != "version" {
		fmt.Fprintln(os.Stderr, "crictl: only `crictl version` is known here")
		os.Exit(2)
	}
	if err := version(); err != nil {
		fmt.Fprintln(os.Stderr, "crictl:", err)
		os.Exit(1)
	}
}

func version() error {
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	answer, err := runtime.NewRuntimeServiceClient(connection).Version(patience, &runtime.VersionRequest{})
	if err != nil {
		return err
	}
	for _, line := range [][2]string{
		{"Version", answer.GetVersion()},
		{"RuntimeName", answer.GetRuntimeName()},
		{"RuntimeVersion", answer.GetRuntimeVersion()},
		{"RuntimeApiVersion", answer.GetRuntimeApiVersion()},
	} {
		fmt.Printf("%s:  %s\n", line[0], line[1])
	}
	return nil
}
